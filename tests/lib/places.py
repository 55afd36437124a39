"""Where the tests find the tree, its vectors and the programs under test."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
LIB = os.path.join(TOP, "tests", "lib")
CHECKER = os.path.join(LIB, "checker.py")
VECTORS = os.environ.get("VECTORS", os.path.join(TOP, "tests", "vectors"))
BLT = os.environ.get("BLT", os.path.join(TOP, "build", "blt"))
BLTFS = os.environ.get("BLTFS", os.path.join(TOP, "build", "bltfs"))
