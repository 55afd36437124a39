#!/bin/bash
# blt umount returns when the store is whole and its daemon gone, and says why
# where it cannot unmount.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
blt=${BLT:-$top/build/blt}
bltfs=${BLTFS:-$top/build/bltfs}
[[ -c /dev/fuse && -w /dev/fuse ]] || exit 77

dir=$(mktemp -d)
store=$dir/kv.blt
point="$dir/mount point"
cleanup() {
	if mountpoint -q "$point"; then
		fusermount3 -u -z "$point"
	fi
	rm -rf "$dir"
}
trap cleanup EXIT
mkdir "$point"
"$blt" create "$store"

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

# refused CODE TEXT ARGUMENT...: blt umount exits with CODE and says TEXT.
refused() {
	local code=$1 text=$2 have=0
	shift 2
	"$blt" umount "$@" 2>"$dir/err" || have=$?
	[[ $have == "$code" ]] || fail "umount $*: exit $have: $(<"$dir/err")"
	[[ $(<"$dir/err") == "blt umount: "*"$text"* ]] ||
		fail "umount $*: expected '$text' in: $(<"$dir/err")"
}

# whole: Python can read the store, and nobody has it open.
whole() {
	"${PYTHON:-python3}" -B "$top/tests/lib/checker.py" "$store"
	flock -n "$store" true || fail "the store is locked still"
	! pgrep -f "^[^ ]*bltfs .*$store" || fail "the daemon is there still"
}

refused 66 "not a mount point" "$dir"
refused 66 "$dir/none" "$dir/none"
refused 65 "of type proc" /proc
refused 64 "missing" --timeout 1

# a lot that is not written yet
"$bltfs" "$store" "$point"
for i in {1..200}; do
	head -c 100000 /dev/zero >"$point/$i"
done
echo last >"$point/last"
"$blt" umount "$point"
whole
[[ $("$blt" get "$store" last) == last ]] || fail "the last value is lost"
[[ $("$blt" ls "$store" | wc -l) == 201 ]] || fail "keys are lost"

# by another spelling of the path
ln -s "$point" "$dir/link"
"$bltfs" "$store" "$point"
(cd "$dir" && "$blt" umount "./link/../mount point/")
whole

# in use: who it is, and nothing is changed
"$bltfs" "$store" "$point"
exec 4<"$point/last"
refused 75 "$$ (" "$point"
[[ $(<"$point/last") == last ]] || fail "unmounted all the same"
exec 4<&-
"$blt" umount "$point"
whole

# for reading, twice
"$bltfs" -o ro "$store" "$point"
mkdir "$dir/second"
"$bltfs" -o ro "$store" "$dir/second"
"$blt" umount "$point"
[[ $(<"$dir/second/last") == last ]] || fail "the wrong mount went"
"$blt" umount "$dir/second"
whole

# a daemon that was killed
"$bltfs" "$store" "$point"
echo closed >"$point/closed"
kill -KILL "$(pgrep -f "^[^ ]*bltfs .*$store")"
code=0
"$blt" umount "$point" 2>"$dir/err" || code=$?
[[ $code == 0 || $code == 74 ]] || fail "exit $code: $(<"$dir/err")"
mountpoint -q "$point" && fail "still mounted"
"$blt" put "$store" more </dev/null
[[ $("$blt" get "$store" closed) == closed ]] || fail "a closed file is lost"
whole

# by another name than the store's, with and without a control directory
for control in .bltfs none; do
	"$bltfs" -o "fsname=somewhere,control=$control" "$store" "$point"
	for i in {1..50}; do
		head -c 100000 /dev/zero >"$point/named $i"
	done
	"$blt" umount "$point"
	whole
done

# until_said TEXT: blt umount has said it; waits for at most a minute.
until_said() {
	local i
	for ((i = 0; i < 1200; i++)); do
		grep -qF "$1" "$dir/err" && return
		read -rt 0.05 <> <(:) || true
	done
	fail "expected '$1' in: $(<"$dir/err")"
}

# held: a process with a copy of the mount in a mount namespace of its own.
held() {
	unshare -m --propagation private sleep 1000 &
	holder=$!
	until [[ $(readlink "/proc/$holder/ns/mnt") != "$(readlink /proc/self/ns/mnt)" &&
		$(<"/proc/$holder/comm") == sleep ]]; do
		read -rt 0.05 <> <(:) || true
	done
}

if ! unshare -m true 2>/dev/null; then
	echo "no mount namespaces here: copies of a mount are not tested"
	exit 0
fi
"$bltfs" "$store" "$point"
echo copied >"$point/copied"
held
"$blt" umount "$point" 2>"$dir/err" &
waiting=$!
until_said "$holder (sleep) has it in another mount namespace"
kill -0 "$waiting" || fail "it did not wait"
kill "$holder"
wait "$waiting" || fail "exit $?: $(<"$dir/err")"
whole
[[ $("$blt" get "$store" copied) == copied ]] || fail "a closed file is lost"

# the connection is ended through fusectl, which root may mount
connections=/sys/fs/fuse/connections
mountpoint -q "$connections" || mounted=yes
"$bltfs" "$store" "$point"
echo forced >"$point/forced"
held
"$blt" umount --force "$point"
whole
[[ $("$blt" get "$store" forced) == forced ]] || fail "a closed file is lost"
kill "$holder"
[[ -z ${mounted-} ]] || umount "$connections"
