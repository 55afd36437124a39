"""The built Python module, for its tests: import this, then blt.

BLT_PYTHON is the directory that has the package.  Where it was not built the
test is skipped.  Under the address sanitizer, which must be the first library of
a process, the test runs itself again with it.
"""

import importlib.util
import os
import subprocess
import sys

where = os.environ.get("BLT_PYTHON", "")
here = os.path.dirname(os.path.abspath(__file__))

if not os.path.exists(os.path.join(where, "blt", "_blt.abi3.so")):
    print("the module was not built: no Python.h (python3-dev) at configure")
    sys.exit(77)
if os.environ.get("SANITIZERS") == "thread":
    print("the interpreter itself is not built for the thread sanitizer")
    sys.exit(77)
if os.environ.get("SANITIZERS") == "address" and "PYMODULE" not in os.environ:
    libraries = [
        subprocess.run([*os.environ.get("CC", "cc").split(),
                        f"-print-file-name={name}"], check=True,
                       capture_output=True, text=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")]
    os.environ.update(
        PYMODULE="1", LD_PRELOAD=" ".join(libraries),
        # what the interpreter itself leaves at its end is not ours
        ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    os.execv(sys.executable, [sys.executable, *sys.argv])
# for processes that a test starts, too
os.environ["PYTHONPATH"] = os.pathsep.join(
    [where, here, *filter(None, [os.environ.get("PYTHONPATH")])])
sys.path[:0] = [where]


def have(package):
    return importlib.util.find_spec(package) is not None
