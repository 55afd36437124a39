#!/usr/bin/env python3
"""tool/map-job.py, on stores in PostgreSQL; four shards share one there."""

import os
import sys

import pglib

there = os.path.join(os.path.dirname(os.path.abspath(__file__)), "map-job.py")
pglib.need()
server = pglib.Server()
os.environ["BLT_TEST_POSTGRES"] = server.url()
os.environ["MAP_ENGINES"] = "postgresql"
sys.exit(os.spawnv(os.P_WAIT, sys.executable, [sys.executable, there]))
