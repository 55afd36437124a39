#!/bin/bash
# The disk under the store fails, with a filesystem in between: fsync says so,
# from then on so does every change, reading goes on, the log has the reason,
# and once the disk works again the next mount has all that was promised.
. "$(dirname "$0")/../lib/lib.sh"

((EUID == 0)) || { echo "needs root"; exit 77; }
for tool in nbdkit nbdfuse mkfs.ext4; do
	command -v "$tool" >/dev/null ||
		{ echo "no $tool (packages nbdkit, libnbd-bin, e2fsprogs)"; exit 77; }
done

mkdir disk fs
truncate -s 64M image
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 image
serve_disk() {
	nbdfuse disk/nbd [ nbdkit --filter=error file image error=EIO \
		error-pwrite-rate=100% error-pwrite-file="$tmp/broken" ] &
	server=$!
	until_true "the disk" is_there
}
end() {
	local status=$?
	rm -f "$tmp/broken"
	fusermount3 -u -z -q "$mnt" || true
	[[ -z $daemon ]] || wait "$daemon" || true
	daemon=
	umount -l fs 2>/dev/null || true
	fusermount3 -u -z -q disk || true
	wait "$server" || true
	(exit "$status") || cleanup
	cleanup
}
trap end EXIT

is_there() {
	kill -0 "$server" 2>/dev/null || { echo "nbdfuse does not start"; exit 77; }
	mountpoint -q disk && [[ -e disk/nbd ]]
}

mount_disk() {
	mount -o loop,noatime disk/nbd fs
}

serve_disk
mount_disk 2>err || { echo "no loop device: $(cat err)"; exit 77; }

start fs/kv.blt -o create,commit=3600
mkdir "$mnt/d" "$mnt/empty"
echo first >"$mnt/first"
echo in >"$mnt/d/in"
sync "$mnt/first"
# or the journal's timer might be the first to meet the failure
sync -f fs/kv.blt

touch broken
refuses 1 'Input/output error' \
	dd if=/dev/zero of="$mnt/new" bs=1 count=1 conv=fsync
eio() {
	refuses 1 'Input/output error' "$@"
}
eio sync "$mnt/first"
eio sync "$mnt/d"
eio "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' \
	"$mnt/first" "$mnt/moved"
eio rm "$mnt/d/in"
eio rmdir "$mnt/empty"
eio mkdir "$mnt/other"
eio cp "$tests/lib/lib.sh" "$mnt/other"
eio ln -s x "$mnt/other"
eio truncate -s 0 "$mnt/first"
eio touch -d @1 "$mnt/first"
# every descriptor of a file that could not be stored says so
"$PYTHON" - "$mnt/first" <<'END' || fail "close"
import errno, os, sys

one = os.open(sys.argv[1], os.O_WRONLY)
two = os.dup(one)
os.write(one, b"lost")
for call, fd in (os.fsync, two), (os.close, one), (os.close, two):
    try:
        call(fd)
    except OSError as error:
        assert error.errno == errno.EIO, error
    else:
        sys.exit(f"{call.__name__} says that all is well")
END
same "$(cat "$mnt/d/in")" in

unmount "$mnt"
status=0
wait "$daemon" || status=$?
daemon=
same "$status" 74 "exit code of the daemon"
expect_log 'Input/output error'
check_log
umount fs

# another disk with the same bytes: a loop device may be let go late
until_true "the loop device let go" fusermount3 -u -q disk
wait "$server" || true
rm broken
serve_disk
mount_disk
start fs/kv.blt
same "$(cat "$mnt/first" "$mnt/d/in")" $'first\nin'
same "$(cd "$mnt" && find . | sort | tr '\n' ' ')" ". ./d ./d/in ./empty ./first "
echo again >"$mnt/new"
sync "$mnt/new"
stop
check_store fs/kv.blt
umount fs
