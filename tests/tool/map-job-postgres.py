#!/usr/bin/env python3
"""tool/map-job.py, on stores in PostgreSQL, which four shards share."""

import os

import pglib

os.environ["MAP_ENGINES"] = "postgresql"
pglib.over(__file__)
