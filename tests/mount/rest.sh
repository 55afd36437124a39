#!/bin/bash
# A store at rest is a plain file on the disk, whatever becomes of the daemon;
# and a mount that ends in any way closes its store, with what was open.
. "$(dirname "$0")/../lib/lib.sh"

# ---- at rest ----
start kv.blt -o create,commit=1
echo one >"$mnt/one"
until_true "the store at rest" is_plain kv.blt
check_store kv.blt
echo two >"$mnt/two"
until_true "the store at rest again" is_plain kv.blt
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
daemon=
umount -l "$mnt" 2>/dev/null || fusermount3 -u -z "$mnt"
check_store kv.blt
start kv.blt -o ro
same "$(cat "$mnt/one" "$mnt/two")" $'one\ntwo'
stop

# ---- every end of a mount, with a file open that no close has stored ----
for how in TERM INT HUP; do
	start kv.blt
	exec 5>"$mnt/open-$how"
	echo "before $how" >&5
	kill -"$how" "$daemon"
	end_daemon
	exec 5>&- || true
	check_store kv.blt
done

# lazily: the mount ends when the last file is closed
start kv.blt
exec 5>"$mnt/open-lazy"
echo "before lazy" >&5
umount -l "$mnt" 2>/dev/null || fusermount3 -u -z "$mnt"
! mountpoint -q "$mnt" || fail "still mounted"
echo "after lazy" >&5
exec 5>&-
end_daemon
check_store kv.blt

# lazily, with so many files open that the kernel hands one's release over
# while it disconnects
cat >close-many.py <<-'end'
	import os, subprocess, sys

	for i in range(300):
	    fd = os.open(f"{sys.argv[1]}/many-{i}", os.O_CREAT | os.O_RDWR)
	    os.write(fd, b"before many\n")
	subprocess.run(sys.argv[2:], check=True)
end
for _ in 1 2 3 4 5; do
	start kv.blt
	"$PYTHON" close-many.py "$mnt" fusermount3 -u -z "$mnt"
	end_daemon
	check_store kv.blt
done

start kv.blt -o ro
same "$(cat "$mnt"/many-* | grep -c "^before many$")" 300
for how in TERM INT HUP lazy; do
	grep -q "^before $how$" "$mnt/open-$how" || fail "lost at the end by $how"
done
grep -q "^after lazy$" "$mnt/open-lazy" || fail "lost behind a lazy unmount"
stop
