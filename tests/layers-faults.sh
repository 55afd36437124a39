#!/bin/bash
# The layer check finds what it is there to find.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# fresh: a small project that keeps the rules.
fresh() {
	rm -rf "${dir:?}"/*
	mkdir "$dir/src" "$dir/fs" "$dir/tests"
	cp "$here/layers.txt" "$dir/tests/"
	touch "$dir/src/"{util,blt,index,store}.h "$dir/fs/"{node,ops_dir}.h
	printf '#include "%s"\n' util.h index.h >"$dir/src/index.c"
	printf '#include "%s"\n' blt.h ops_dir.h node.h >"$dir/fs/ops_read.c"
}

# refuses WHAT TEXT: the check fails and says TEXT.
refuses() {
	local out
	if out=$(bash "$here/layers.sh" "$dir" 2>&1); then
		echo "passed: $1" >&2
		exit 1
	fi
	if [[ $out != *"$2"* ]]; then
		printf '%s: expected "%s" in:\n%s\n' "$1" "$2" "$out" >&2
		exit 1
	fi
}

fresh
bash "$here/layers.sh" "$dir"

fresh
echo '#include "store.h"' >>"$dir/src/index.c"
refuses "an upward include" "src/index.c:3: layer 3 includes store.h of layer 6"

fresh
echo '  #  include "store.h"' >"$dir/src/util.h"
refuses "an upward include in a header" "src/util.h:1: layer 0 includes"

fresh
touch "$dir/src/novel.c"
refuses "a file that is not listed" "src/novel.c: not in tests/layers.txt"

fresh
echo '#include "util.h"' >"$dir/fs/node.c"
refuses "fs reaching into src" "util.h is not offered to layer 1 of fs/"

fresh
echo '#include "../src/util.h"' >"$dir/fs/node.c"
refuses "the same by path" "include ../src/util.h without its path"

fresh
echo '#include "node.h"' >"$dir/src/store.c"
refuses "src reaching into fs" "node.h is not offered to layer 6 of src/"

fresh
echo '#include <fuse_lowlevel.h>' >"$dir/src/store.c"
refuses "FUSE in src" "src/ knows no FUSE"

fresh
echo '#include "gone.h"' >"$dir/src/store.c"
refuses "a header that is not there" "there is no gone.h"

rm -rf "$dir"/src/* "$dir"/fs/*
refuses "nothing to check" "no sources"
