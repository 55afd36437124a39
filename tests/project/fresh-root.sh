#!/bin/bash
# A fresh minimal Debian does what the README says, for root and for an ordinary
# user, and passes the tests.
#
#   fresh-root.sh [bookworm]    all tests; takes many minutes
#   fresh-root.sh trixie        the unit tests, and some of each other kind
#
# Puts the committed files in a root of their own and follows the README there;
# prints the time of each step.  What that needs: root.sh.  Takes minutes, so it is
# no part of "make check".
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/project/root.sh"
suite=${1:-bookworm}

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

echo "== the README, as an ordinary user"
inside 'useradd -m ada'
copy home/ada/bltfs
inside 'chown -R ada: /home/ada/bltfs'
if [[ $suite == bookworm ]]; then
	as_user ada '/home/ada/bltfs/tests/project/newcomer.sh build'
fi
as_user ada '/home/ada/bltfs/tests/project/newcomer.sh try'

echo "== the tests"
if [[ $suite == bookworm ]]; then
	inside 'cd /root/bltfs && ./bootstrap check'
else
	inside 'apt-get install -y --no-install-recommends attr procps python3 \
		python3-lmdb >/dev/null'
	# shellcheck disable=SC2016 # expanded by make
	inside 'cd /root/bltfs && TEST_FEW=1 CRASH_IMAGES=300 MODEL_ROUNDS=1 \
		make -C build -j"$(nproc)" check TESTS='\''$(unit_tests) \
		tests/mount/control.py tests/mount/friction.py \
		tests/mount/metrics.py tests/mount/options.sh \
		tests/mount/posix.py tests/mount/txn.py \
		tests/project/readme.py tests/tool/copies.py \
		tests/tool/docs.py tests/tool/errors.py \
		tests/tool/friction.py tests/tool/map.py'\'' |
		grep -E "^(# (TOTAL|PASS|FAIL|SKIP|ERROR):|(FAIL|ERROR|SKIP):)"
	'
fi
