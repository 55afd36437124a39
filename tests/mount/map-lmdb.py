#!/usr/bin/env python3
"""Maps of a mount, and other jobs, on mounts of LMDB environments."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

os.environ["BLT_ENGINE"] = "lmdb"
for name in ("map", "mapto", "mapwork", "maptable", "jobs"):
    print(f"---- {name} ----", flush=True)
    done = subprocess.run([sys.executable, os.path.join(HERE, name + ".py")],
                          check=False)
    if done.returncode:
        sys.exit(done.returncode)
