#!/usr/bin/env python3
"""Tests of blt that are for any engine, on LMDB environments."""

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

os.environ["BLT_ENGINE"] = "lmdb"
for name in "values", "load", "names", "import", "map":
    done = subprocess.run([sys.executable, os.path.join(HERE, name + ".py")],
                          check=False)
    if done.returncode:
        sys.exit(f"{name}: {done.returncode}")
