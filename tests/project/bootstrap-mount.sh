#!/bin/bash
# ./bootstrap mount: from any directory to a mount that works, and a message
# that helps where that cannot be.
set -euo pipefail

[[ -e /dev/fuse ]] || { echo "there is no /dev/fuse"; exit 77; }
bootstrap=$(cd "$(dirname "$0")/../.." && pwd)/bootstrap
dir=$(mktemp -d)
clean_up() {
	fusermount3 -uzq "$dir/kv" || true
	fusermount3 -uzq "$dir/a b/c" || true
	rm -rf --one-file-system "$dir"
}
trap clean_up EXIT
cd "$dir"
# the programs of this build, as ./bootstrap build leaves them
mkdir ready
ln -s "$BLT" ready/blt
ln -s "$BLTFS" ready/bltfs
export BLTFS_BUILD=$dir/ready

# refuses TEXT ARGUMENT...: fails, says TEXT, and mounts nothing.
refuses() {
	if "$bootstrap" mount "${@:2}" >out 2>&1; then
		echo "mounted: ${*:2}" >&2
		exit 1
	fi
	grep -qF -- "$1" out || {
		printf 'expected "%s" in:\n' "$1" >&2
		cat out >&2
		exit 1
	}
	if grep -qF " $dir/" /proc/self/mountinfo; then
		echo "left a mount: ${*:2}" >&2
		exit 1
	fi
}

mkdir store-dir full
touch full/file
mkfifo fifo
refuses "usage:"
refuses "usage:" kv.blt
refuses "store-dir is a directory" store-dir kv
refuses "fifo is no regular file" fifo kv
refuses "there is no directory gone" gone/kv.blt kv
refuses "full is not empty" kv.blt full
refuses "full/file is no directory" kv.blt full/file
[[ ! -e kv.blt && ! -e kv ]]
echo "this is no store" >text
refuses "text" text kv

"$bootstrap" mount kv.blt kv >out
grep -qF 'kv.blt is mounted on kv' out
grep -qF 'cat kv/greeting' out
grep -qF 'ready/blt umount kv' out
echo hello >kv/greeting
[[ $(cat kv/greeting) == hello && $(ls kv) == greeting ]]
if "$bootstrap" mount kv.blt kv >out 2>&1; then
	echo "mounted twice" >&2
	exit 1
fi
grep -qF "kv is a mount point in use" out
# while it is in use, the store is not for a second daemon
if "$bootstrap" mount kv.blt other >out 2>&1; then
	echo "two daemons on one store" >&2
	exit 1
fi
grep -qF "kv.blt" out
ready/blt umount kv
if mountpoint -q kv; then
	echo "umount left the mount" >&2
	exit 1
fi

# names with spaces, options for bltfs, a store that is there already
"$bootstrap" mount kv.blt "a b/c" -o ro >out
[[ $(cat "a b/c/greeting") == hello ]]
grep -qF 'cat a\ b/c/greeting' out
if (echo more >"a b/c/greeting") 2>/dev/null; then
	echo "wrote to a mount with -o ro" >&2
	exit 1
fi
ready/blt umount "a b/c"
