#!/bin/bash
# Tests of the mount that are for any engine, on mounts of LMDB environments:
# tools and programs, whole trees, and several processes at once.
export BLT_ENGINE=lmdb
export TREE_FILES=${TREE_FILES:-150} STEPS=${STEPS:-200}
tests=$(dirname "$0")

echo "---- together.py ----"
"${PYTHON:-python3}" "$tests/together.py" || exit
for name in full.sh tools.sh roundtrip.sh programs.sh; do
	echo "---- $name ----"
	bash "$tests/$name" || (($? == 77)) || exit 1
done
