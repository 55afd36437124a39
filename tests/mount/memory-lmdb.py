#!/usr/bin/env python3
"""mount/memory.py, on a mount of an LMDB environment."""

import os
import sys

os.environ["BLT_ENGINE"] = "lmdb"
there = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "memory.py")
os.execv(sys.executable, [sys.executable, there])
