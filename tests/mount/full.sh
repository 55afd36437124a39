#!/bin/bash
# The disk that holds the store is full, or the store as long as ulimit -f lets it
# be: cp says so, what was written before is whole, deleting works, and what is
# left is a plain store.
. "$(dirname "$0")/../lib/lib.sh"

mkdir disk
mount -t tmpfs -o size=12m none disk 2>/dev/null ||
	{ echo "cannot mount a tmpfs"; exit 77; }
end() {
	local status=$?
	umount -l "$tmp/disk" || true
	(exit "$status") || cleanup
	cleanup
}
trap end EXIT

start disk/kv.blt -o create,commit=1
head -c 1000000 /dev/urandom >data
mkdir "$mnt/d"
n=0
while ((n < 30)) && cp data "$mnt/d/$n" 2>err; do n=$((n + 1)); done
((n > 5 && n <= 12)) || fail "$n files of 1 MB on a disk of 12 MiB"
grep -q 'No space left on device' err || fail "cp said: $(cat err)"
expect_log "d/$n: .*No space left on device"
for ((i = 0; i < n; i++)); do cmp data "$mnt/d/$i"; done
[[ ! -e $mnt/d/$n ]] || fail "a file that was not stored is there"

# Nothing at all is left, and still names can go: the store keeps some space past
# the end of its file, at rest, too.
until_true "the store at rest" is_plain disk/kv.blt
dd if=/dev/zero of=disk/fill bs=4k status=none 2>/dev/null || true
refuses 1 'No space left on device' "$PYTHON" -c \
	'import os, sys; os.rename(*sys.argv[1:])' "$mnt/d/1" "$mnt/d/other"
expect_log 'a change of names could not be written: No space left on device'
[[ ! -e $mnt/d/other ]] || fail "a file that was not renamed has the new name"
cmp data "$mnt/d/1"
rm "$mnt/d/0"
rm -r "$mnt/d"
same "$(ls -A "$mnt")" ""
rm disk/fill
echo again >"$mnt/f"
stop
check_store disk/kv.blt
start disk/kv.blt
same "$(ls -A "$mnt")" f
same "$(cat "$mnt/f")" again
stop

# The signal that comes with such a limit does not end the daemon.
ulimit -S -f 1900
start kv.blt -o create
ulimit -S -f unlimited
cp data "$mnt/0"
! cp data "$mnt/1" 2>err || fail "more than 1900 KiB in a file"
grep -q 'No space left on device' err || fail "cp said: $(cat err)"
expect_log "1: .*No space left on device"
cmp data "$mnt/0"
rm "$mnt/0"
echo again >"$mnt/f"
stop
check_store kv.blt
start kv.blt
same "$(cat "$mnt/f")" again
stop
