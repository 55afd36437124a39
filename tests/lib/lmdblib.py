"""lmdblib - for tests that read and write LMDB environments by themselves.

    from lmdblib import lmdb

python3-lmdb is a package of Debian's Python.  Where a test runs in another one
it begins anew in that: this is for the head of a file, before anything is done.
"""

import os
import sys

__all__ = ["lmdb"]
DEBIAN = "/usr/bin/python3"

try:
    import lmdb
except ImportError:
    if os.path.samefile(sys.executable, DEBIAN):
        raise
    os.execv(DEBIAN, [DEBIAN, *sys.argv])
