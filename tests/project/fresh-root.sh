#!/bin/bash
# A fresh minimal Debian 12 runs both commands of the README.
#
# Puts the committed files in a root of their own and follows the README there.
# What that needs: tests/project/root.sh.  Takes minutes, so it is no part of "make
# check".
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/project/root.sh"

make_root
mkdir "$root/root/bltfs"
git -C "$top" -c safe.directory="$top" archive HEAD |
	tar -x -C "$root/root/bltfs"

echo "== ./bootstrap mount"
# shellcheck disable=SC2016 # expanded inside
inside '
	cd /root/bltfs
	./bootstrap mount /root/kv.blt /root/kv
	echo hello > /root/kv/greeting
	[ "$(cat /root/kv/greeting)" = hello ]
	[ "$(ls /root/kv)" = greeting ]
	build/blt umount /root/kv
	[ -z "$(ls /root/kv)" ]
	cd /
	/root/bltfs/bootstrap mount /root/kv.blt /root/kv
	[ "$(cat /root/kv/greeting)" = hello ]
	/root/bltfs/build/blt umount /root/kv
'
echo "== ./bootstrap check"
inside 'cd /root/bltfs && ./bootstrap check'
