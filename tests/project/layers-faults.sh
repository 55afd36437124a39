#!/bin/bash
# The layer check finds what it is there to find.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# fresh: a small project that keeps the rules.
fresh() {
	rm -rf "${dir:?}"/*
	mkdir -p "$dir"/src/{base,booklet/{core,store}} \
		"$dir"/fs/{inode,request} "$dir/tests/project"
	cp "$here/layers.txt" "$dir/tests/project/"
	touch "$dir/src/"{blt,base/util,booklet/core/index}.h \
		"$dir/src/booklet/store/store.h" \
		"$dir/fs/"{inode/inode,request/ops_dir}.h
	printf '#include "%s"\n' base/util.h booklet/core/index.h \
		>"$dir/src/booklet/core/index.c"
	printf '#include "%s"\n' blt.h request/ops_dir.h inode/inode.h \
		>"$dir/fs/request/ops_read.c"
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
echo '#include "booklet/store/store.h"' >>"$dir/src/booklet/core/index.c"
refuses "an upward include" \
	"core/index.c:3: layer 4 includes booklet/store/store.h of layer 6"

fresh
mkdir "$dir/src/lmdb"
echo '#include "booklet/core/index.h"' >"$dir/src/lmdb/lmdb_key.c"
refuses "a folder of the same layer" "src/lmdb/lmdb_key.c:1: layer 4 includes"

fresh
echo '  #  include "booklet/store/store.h"' >"$dir/src/base/util.h"
refuses "an upward include in a header" "src/base/util.h:1: layer 1 includes"

fresh
touch "$dir/src/novel.c"
refuses "a file that is not listed" "src/novel.c: not in tests/project/layers.txt"

fresh
echo '#include "booklet/core/index.h"' >"$dir/fs/inode/inode.c"
refuses "fs reaching into src" \
	"booklet/core/index.h is not offered to layer 1 of fs/"

fresh
echo '#include "../src/base/util.h"' >"$dir/fs/inode/inode.c"
refuses "the same by path" "include ../src/base/util.h by its folder"

fresh
echo '#include "index.h"' >"$dir/src/booklet/core/index.c"
refuses "a neighbour without its folder" "there is no index.h in src/ or fs/"

fresh
echo '#include "inode/inode.h"' >"$dir/src/booklet/store/store.c"
refuses "src reaching into fs" "inode/inode.h is not offered to layer 6 of src/"

fresh
echo '#include <fuse_lowlevel.h>' >"$dir/src/booklet/store/store.c"
refuses "FUSE in src" "src/ knows no FUSE"

fresh
echo '#include "gone.h"' >"$dir/src/booklet/store/store.c"
refuses "a header that is not there" "there is no gone.h"

rm -rf "$dir"/src/* "$dir"/fs/*
refuses "nothing to check" "no sources"
