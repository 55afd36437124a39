#!/bin/bash
# From the start of a daemon to its end: the command returns when the mount is
# live, a signal ends it cleanly, what a close promised survives kill -9, and
# the next mount replaces one whose daemon is gone.
. "$(dirname "$0")/../lib/lib.sh"

# is_free STORE: nobody holds its lock.
is_free() {
	flock -n "$1" true
}

# holder STORE: the daemon's pid, by the lock it holds.
holder() {
	local inode
	inode=$(stat -c %i "$1")
	awk -v want=":$inode\$" '$6 ~ want { print $5 }' /proc/locks
}

# ---- in the background: live on return ----
"$BLTFS" kv.blt "$mnt" -o create
echo hello >"$mnt/f"
same "$(cat "$mnt/f")" hello
mountpoint -q "$mnt" || fail "not mounted"
unmount "$mnt"
until_true "the store closed" is_free kv.blt
check_store kv.blt

# ---- from another directory, with relative paths and a blank ----
mkdir 'a place'
(cd 'a place' && "$BLTFS" ../kv.blt ../mnt)
same "$(cat "$mnt/f")" hello
kill -TERM "$(holder kv.blt)"
until_true "the store closed" is_free kv.blt
! mountpoint -q "$mnt" || fail "still mounted after SIGTERM"
check_store kv.blt

# ---- with the standard descriptors closed ----
timeout 60 "$BLTFS" kv.blt "$mnt" <&- >&- 2>&- || fail "closed descriptors"
same "$(cat "$mnt/f")" hello
unmount "$mnt"
until_true "the store closed" is_free kv.blt
check_store kv.blt

# ---- who waits for the lock gets it ----
start kv.blt
mkdir later
"$BLTFS" kv.blt later -o lock_timeout=3600 &
waiting=$!
stop
wait "$waiting" || fail "waited for the lock in vain"
same "$(cat later/f)" hello
unmount later
until_true "the store closed" is_free kv.blt

# ---- signals, with a file open ----
signals=(TERM HUP)
# under nohup(1) it is ignored, by the daemon too
ignored=$(awk '/^SigIgn/ { print $2 }' /proc/self/status)
((16#$ignored & 1)) && signals=(TERM)
for signal in "${signals[@]}"; do
	start kv.blt
	exec 5>"$mnt/open-$signal"
	echo "written before SIG$signal" >&5
	kill -"$signal" "$daemon"
	end_daemon
	exec 5>&- || true
	! mountpoint -q "$mnt" || fail "still mounted after SIG$signal"
	check_store kv.blt
	start kv.blt -o ro
	same "$(cat "$mnt/open-$signal")" "written before SIG$signal"
	stop
done

# ---- one thread ----
start kv.blt -s
echo single >"$mnt/s"
kill -TERM "$daemon"
end_daemon

# ---- threads that poll ----
start kv.blt -o poll_us=50
for i in 1 2 3 4; do
	(for ((j = 0; j < 20; j++)); do echo "$j" >"$mnt/p$i"; done) &
	pids+=($!)
done
wait "${pids[@]}"
same "$(cat "$mnt"/p?)" $'19\n19\n19\n19'
stop
start kv.blt -o poll_us=50,ro
kill -TERM "$daemon"
end_daemon

# ---- a signal while it starts: no mount without a daemon ----
# is_begun: before that the signal is for this script's child, which forgets it
is_begun() {
	[[ ! -e /proc/$daemon/exe || $(readlink "/proc/$daemon/exe") == "$BLTFS" ]]
}

for ((i = 0; i < 20; i++)); do
	"$BLTFS" -f kv.blt "$mnt" 2>/dev/null &
	daemon=$!
	until_true "its start" is_begun
	for ((j = 0; j < i; j++)); do stat / >/dev/null; done
	kill -TERM "$daemon"
	wait "$daemon" || true
	daemon=
	! mountpoint -q "$mnt" || fail "mounted, and nobody there"
done
check_store kv.blt

# ---- auto_unmount ----
start kv.blt -o auto_unmount
same "$(cat "$mnt/f")" hello
stop

# ---- kill -9 ----
start kv.blt
echo closed >"$mnt/closed"
mkdir "$mnt/dir"
# the kernel goes on knowing what it was told of the root
stat "$mnt" >/dev/null
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
daemon=
refuses 2 'not connected' ls "$mnt"
"$BLTFS" kv.blt "$mnt" 2>said
grep -q 'was gone; unmounted it' said || fail "no word of the dead mount"
same "$(cat "$mnt/closed")" closed
same "$(stat -c %F "$mnt/dir")" directory
unmount "$mnt"
until_true "the store closed" is_free kv.blt
check_store kv.blt

# ---- a recovery is told of: what takes no second, to who wants all of it ----
start kv.blt
echo again >"$mnt/closed"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
daemon=
unmount "$mnt"
start kv.blt -d
same "$(cat "$mnt/closed")" again
grep -q 'recovering what its last writer left: [0-9.]* of [0-9.]* MiB' "$log" ||
	fail "no word of the recovery"
unmount "$mnt"
wait "$daemon"
daemon=
check_store kv.blt
