#!/bin/bash
# A fresh minimal Debian does what the README says, for root and for an ordinary
# user, and passes the tests.
#
#   fresh-root.sh SUITE [none|main|all]    SUITE: bookworm, trixie
#
# Which tests: main, those of "make check-main", are run by root; all are run by
# root, and once more by the ordinary user.
#
# Puts the committed files in a root of their own and follows the README there;
# prints the time of each step.  What that needs: root.sh.  Takes minutes, so it is
# no part of "make check".
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/project/root.sh"
suite=${1:?} tests=${2:-main}

# copy DIRECTORY: the committed files, there.
copy() {
	mkdir -p "$root/$1"
	git -C "$top" -c safe.directory="$top" archive HEAD |
		tar --no-same-owner -x -C "$root/$1"
}

make_root "$suite"
copy root/bltfs

echo "== the README, as root"
inside '/root/bltfs/tests/project/newcomer.sh install'
inside '/root/bltfs/tests/project/newcomer.sh try'

echo "== ./bootstrap mount"
# shellcheck disable=SC2016 # expanded inside
inside '
	cd bltfs
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

echo "== the README, as an ordinary user"
inside 'useradd -m ada'
copy home/ada/bltfs
inside 'chown -R ada: /home/ada/bltfs'
as_user ada '/home/ada/bltfs/tests/project/newcomer.sh try'

[[ $tests != none ]] || exit 0
echo "== the tests"
# shellcheck disable=SC2016 # expanded inside
inside '
	needs=$(bltfs/bootstrap packages 2>&1)
	apt-get install -y --no-install-recommends ${needs##*install} >/dev/null
'
if [[ $tests == all ]]; then
	inside 'cd bltfs && ./bootstrap check'
	as_user ada 'cd bltfs && ./bootstrap check'
else
	# shellcheck disable=SC2016 # expanded inside
	inside '
		set -o pipefail
		make -C bltfs/build -j"$(nproc)" -k check-main |
			grep -E "^(# (TOTAL|PASS|FAIL|SKIP|ERROR):|(FAIL|ERROR|SKIP):)"
	'
fi
