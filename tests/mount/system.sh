#!/bin/bash
# What an administrator does: mount(8) with both types, lines in an fstab,
# mount.bltfs by itself, a unit of systemd that waits for the mount, and the
# daemon's messages in syslog.
. "$(dirname "$0")/../lib/lib.sh"

# is_free STORE: nobody holds its lock.
is_free() {
	flock -n "$1" true
}

leave() {
	until_true "unmount" umount "${2:-$mnt}"
	until_true "the store closed" is_free "$1"
}

usage=1 failure=32
sed "s,^bltfs=.*,bltfs=$BLTFS," "$(dirname "$BLTFS")/mount.bltfs" >mount.bltfs
chmod +x mount.bltfs
helper=$tmp/mount.bltfs
"$BLT" create kv.blt

# ---- the helper by itself ----
"$helper" --help >out
grep -q '^Usage: mount.bltfs STORE MOUNTPOINT' out || fail "--help"
refuses $usage 'MOUNTPOINT is missing' "$helper" kv.blt
refuses $usage 'come first' "$helper" -o ro kv.blt "$mnt"
refuses $usage '-q: no such option' "$helper" kv.blt "$mnt" -q
refuses $usage '-o wants a value' "$helper" kv.blt "$mnt" -o
refuses $usage 'x: one operand too many' "$helper" kv.blt "$mnt" -s x
refuses $usage 'frob: no such option' "$helper" kv.blt "$mnt" -o frob
refuses $failure 'cannot be changed' "$helper" kv.blt "$mnt" -o remount,ro
refuses $failure 'cannot be changed' "$BLTFS" kv.blt "$mnt" -o remount,ro
refuses $failure 'nowhere.blt.*No such file' "$helper" nowhere.blt "$mnt"
refuses $failure 'namespace' "$helper" kv.blt "$mnt" -N 1
"$helper" kv.blt "$mnt" -f -o ro
! mountpoint -q "$mnt" || fail "-f mounted"
"$helper" kv.blt "$mnt" -snv -o rw,noauto,nofail,user=a -o x-a.b=c,_netdev \
	-t bltfs
echo x >"$mnt/f"
leave kv.blt
mkdir -- -m
cp kv.blt ./-kv.blt
refuses $usage 'come first' "$helper" -kv.blt -m
"$helper" ./-kv.blt -m
same "$(cat ./-m/f)" x
leave ./-kv.blt ./-m

# ---- systemd: told when the mount is live, and when it ends ----
cat >listen.py <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\0", sys.argv[1][0] == "@"))
open("listening", "w").close()
with open(sys.argv[2], "wb", buffering=0) as out:
    said = b""
    while b"STOPPING" not in said and b"not stored" not in said:
        said = s.recv(4096)
        out.write(said)
END
told() { grep -q "$1" said; }
for name in "$tmp/notify" "@bltfs test $$"; do
	rm -f listening said
	"$PYTHON" listen.py "$name" said &
	listener=$!
	until_true "listener" test -e listening
	NOTIFY_SOCKET=$name start kv.blt
	until_true "READY=1" told '^READY=1$'
	same "$(sed -n 's/^MAINPID=//p' said | head -n 1)" "$daemon"
	kill -TERM "$daemon"
	end_daemon
	wait "$listener"
	told '^STOPPING=1$' || fail "no word of the end"
done
NOTIFY_SOCKET=$tmp/nobody start kv.blt
expect_log 'systemd could not be told READY=1'
kill -TERM "$daemon"
until_true "the end" grep -q STOPPING "$log"
expect_log 'systemd could not be told STOPPING=1'
end_daemon
unit=$(dirname "$BLTFS")/bltfs@.service
grep -q '^Type=notify$' "$unit" || fail "the unit"
grep -q '^ExecStart=/.*/bin/bltfs -f ' "$unit" || fail "the unit"
! grep '@[a-z]*@' "$unit" || fail "a path is left in the unit"
# what would give it a mount namespace of its own, where nobody sees its mount
! grep -E '^(Protect(System|Home|Proc|Kernel|ControlGroups)|Private|ReadOnly|ReadWrite|Inaccessible|Bind|Temporary|Root|Mount)' \
	"$unit" || fail "the unit hides its mount"
if command -v systemd-analyze >/dev/null; then
	sed "s,=/[^ ]*/bltfs ,=$BLTFS ,; s,=/[^ ]*/blt ,=$BLT ,
		/^Documentation=/d" "$unit" >bltfs@a.service
	systemd-analyze --man=no verify ./bltfs@a.service 2>why || true
	! grep 'bltfs@a' why || fail "systemd does not like the unit"
fi

# ---- mount(8): in a namespace where /sbin has our helper ----
cat >inside.sh <<'END'
set -euo pipefail
mount --make-rprivate /
mkdir sbin
mount -t tmpfs none sbin
mkdir sbin/up sbin/work
sbin=$(realpath /sbin)
mount -t overlay none -o "lowerdir=$sbin,upperdir=sbin/up,workdir=sbin/work" \
	"$sbin"
cp mount.bltfs /sbin/mount.bltfs
printf '#!/bin/sh\nexec "%s" "$@"\n' "$BLTFS" >/sbin/bltfs
chmod +x /sbin/bltfs
mkdir dev
mount -t tmpfs none dev
for name in fuse null urandom; do
	: >dev/$name
	mount --bind /dev/$name dev/$name
done
ln -s /proc/self/fd dev/fd
mount --rbind dev /dev
END
if ! unshare -m bash inside.sh >why 2>&1; then
	echo "no namespace to try mount(8) in: $(cat why)"
	exit 0
fi
rm -rf sbin dev
cat >>inside.sh <<'END'
. functions
mount -t bltfs kv.blt "$mnt" -o umask=077,nofail
same "$(cat "$mnt/f")" x
same "$(stat -c %a "$mnt/f")" 600
leave kv.blt
cp kv.blt 'a store.blt'
mkdir 'a place'
cat >fstab <<-LINES
	$tmp/kv.blt $mnt bltfs ro,nofail,x-a=b 0 0
	$tmp/a\\040store.blt $tmp/a\\040place fuse.bltfs defaults,nofail 0 0
LINES
mount -a -T fstab
same "$(cat "$mnt/f" "a place/f")" $'x\nx'
same "$(findmnt -no SOURCE,FSTYPE,OPTIONS "$mnt" | cut -d, -f1 | tr -s ' ')" \
	"$tmp/kv.blt fuse.bltfs ro"
echo y >"a place/g"
leave kv.blt
leave 'a store.blt' 'a place'

# a value that cannot be stored: said to syslog
rm -f listening
"$PYTHON" listen.py /dev/log said &
until_true "listener" test -e listening
"$BLT" create --value-serializer json json.blt
mount -t bltfs json.blt "$mnt"
if cp mount.bltfs "$mnt/bad" 2>/dev/null; then fail "stored"; fi
until_true "a message" grep -q 'bltfs\[[0-9]*\]: bad: not stored' said
leave json.blt
END
declare -f same fail until_true is_free leave >functions
export tmp mnt BLT BLTFS PYTHON
unshare -m bash inside.sh || fail "mount(8)"
check_store kv.blt
check_store 'a store.blt'
