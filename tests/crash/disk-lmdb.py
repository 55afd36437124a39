#!/usr/bin/env python3
"""crash/disk.py, on LMDB environments, in one file and in a directory."""

import os
import sys

os.environ["BLT_ENGINE"] = "lmdb"
there = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "disk.py")
os.execv(sys.executable, [sys.executable, there])
