#!/bin/bash
# Somebody who ignores the lock changes the store's file under a mount.  Nothing
# that would change the store says from then on that it has: EIO.  All can still
# be read, and the next mount has what was there before.
. "$(dirname "$0")/../lib/lib.sh"

# attempt NUMBER COMMAND...: fails with EIO in such a mount.
attempt() {
	local store=$1.blt status=0
	shift
	start "$store" -o create,commit=3600
	mkdir "$mnt/d" "$mnt/empty"
	echo f >"$mnt/f"
	echo in >"$mnt/d/in"
	cp long "$mnt"
	whole=$(cat "$mnt/f" "$mnt/long" | cksum)
	printf x >>"$store"
	refuses 1 'Input/output error' "$@"
	same "$(cat "$mnt/f" "$mnt/long" | cksum)" "$whole"
	[[ -e $mnt/d/in && ! -e $mnt/moved && -d $mnt/empty ]] || fail "$* has done something"
	refuses 1 'Input/output error' touch -c -d @1 "$mnt" "$mnt/f" "$mnt/moved"
	unmount "$mnt"
	wait "$daemon" || status=$?
	daemon=
	same "$status" 74 "exit code of the daemon"
	expect_log 'Input/output error'
	check_log

	start "$store"
	same "$(cd "$mnt" && find . | sort | tr '\n' ' ')" \
		". ./d ./d/in ./empty ./f ./long " "after $*"
	same "$(cat "$mnt/f" "$mnt/long" | cksum)" "$whole"
	same "$(cat "$mnt/d/in")" in
	stop
	check_store "$store"
}

# Its value stays where it is when it gets another name.
head -c 5000000 /dev/urandom >long

# mv(1) would look at both names again
rename=("$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])')
attempt 1 "${rename[@]}" "$mnt/f" "$mnt/moved"
attempt 2 "${rename[@]}" "$mnt/d" "$mnt/moved"
attempt 3 "${rename[@]}" "$mnt/long" "$mnt/moved"
attempt 4 rm "$mnt/d/in"
attempt 5 rmdir "$mnt/empty"
attempt 6 mkdir "$mnt/new"
attempt 7 cp "$tests/lib/lib.sh" "$mnt/new"
attempt 8 ln -s x "$mnt/new"
attempt 9 truncate -s 0 "$mnt/d/in"
attempt 10 dd if=/dev/zero of="$mnt/new" bs=1 count=1 conv=fsync
