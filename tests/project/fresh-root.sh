#!/bin/bash
# A fresh minimal Debian does what the README says, for root and for an ordinary
# user, and passes the tests.
#
#   fresh-root.sh SUITE [all]    SUITE: bookworm, trixie
#
# The tests are those of "make check-main", run by the ordinary user on bookworm
# and by root on trixie; "all": each of them runs all.
#
# Puts the committed files in a root of their own and follows the README there;
# prints the time of each step.  What that needs: root.sh.  Takes minutes, so it is
# no part of "make check".
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/project/root.sh"
suite=${1:?}
how_many=${2:-some}

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
# who runs the tests builds what they run
if [[ $suite == bookworm || $how_many == all ]]; then
	as_user ada '/home/ada/bltfs/tests/project/newcomer.sh build'
fi
as_user ada '/home/ada/bltfs/tests/project/newcomer.sh try'

# shellcheck disable=SC2016 # expanded inside
some='
	set -o pipefail
	make -C bltfs/build -j"$(nproc)" -k check-main |
		grep -E "^(# (TOTAL|PASS|FAIL|SKIP|ERROR):|(FAIL|ERROR|SKIP):)"
'

echo "== the tests"
# shellcheck disable=SC2016 # expanded inside
[[ $how_many == all ]] || inside '
	needs=$(bltfs/bootstrap packages 2>&1)
	apt-get install -y --no-install-recommends ${needs##*install} >/dev/null
'
case $how_many:$suite in
all:*)
	inside 'cd bltfs && ./bootstrap check'
	as_user ada 'cd bltfs && ./bootstrap check'
	;;
*:bookworm) as_user ada "$some" ;;
*) inside "$some" ;;
esac
