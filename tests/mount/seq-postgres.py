#!/usr/bin/env python3
"""mount/seq.py, on a mount of a store in PostgreSQL."""

import os

import pglib

os.environ["BLT_ENGINE"] = "postgresql"
pglib.over(__file__)
