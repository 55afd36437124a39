#!/bin/bash
# fio, which reads back what it wrote and compares, and stress-ng's stressors of
# files, directories, names and mappings.  STRESS_SECONDS: how long each of them
# runs (1).
. "$(dirname "$0")/../lib/lib.sh"

for program in fio stress-ng; do
	command -v $program >/dev/null ||
		{ echo "$program is not installed"; exit 77; }
done
seconds=${STRESS_SECONDS:-1}

# verified NAME OPTION...
verified() {
	local name=$1 out=$tmp/fio.out
	shift
	fio --directory="$mnt" --name="$name" --size=1m --numjobs=2 --bs=4k \
		--verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting \
		--fallocate=none "$@" >"$out" 2>&1 ||
		fail "fio $name: $(cat "$out")"
	! grep -qi 'verify: bad' "$out" || fail "fio $name: $(cat "$out")"
	rm -f "$mnt/$name".* local-*-verify.state
}

# stress NAME OPTION...
stress() {
	local name=$1 out=$tmp/stress.out status=0
	shift
	stress-ng --temp-path "$mnt" --timeout "${seconds}s" --verify \
		"--$name" 1 "$@" >"$out" 2>&1 || status=$?
	# 3 and 4: it found that it cannot run here
	((status == 0 || status == 3 || status == 4)) ||
		fail "stress-ng $name: $status: $(cat "$out")"
	! grep -E 'fail:|error:' "$out" || fail "stress-ng $name"
	((status == 0)) || echo "stress-ng $name did not run: $status"
}

loops=()
((seconds < 10)) || loops=(--time_based --runtime="$seconds")

start kv.blt -o create,max_staging=4M
for engine in psync mmap; do
	verified seq-$engine --rw=write --ioengine=$engine --bs=64k "${loops[@]}"
	verified rand-$engine --rw=randwrite --ioengine=$engine "${loops[@]}"
	verified both-$engine --rw=randrw --ioengine=$engine --fsync=50 \
		"${loops[@]}"
done
for name in dir rename dentry open seek fallocate utime; do
	stress $name
done
stress dirdeep --dirdeep-dirs 2 --dirdeep-inodes 2000
stress hdd --hdd-bytes 8m
stress mmap --mmap-bytes 4m --mmap-file
stress filename --filename-opts posix
stop
"$BLT" check -q kv.blt
# the checker takes several times as much memory as the file is long
(($(stat -c %s kv.blt) > 256 << 20)) || check_store kv.blt
