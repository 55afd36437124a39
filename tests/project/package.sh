#!/bin/bash
# The Debian packages: made of the tarball of "make dist" as a maintainer would,
# and shown to lintian.
#
#   tests/project/package.sh         that
#   tests/project/package.sh root    and installed in a fresh root, used there, and removed
#                            without a trace
#
# Needs configure (./bootstrap build makes it), dpkg-buildpackage, debhelper and
# lintian, for the root what tests/project/root.sh needs; takes minutes, so it is no part
# of "make check".
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/project/root.sh"

# quietly COMMAND...: its output is shown where it fails.
quietly() {
	"$@" >"$dir/log" 2>&1 </dev/null || {
		tail -n 60 "$dir/log"
		echo "failed: $*" >&2
		exit 1
	}
}

echo "== the tarball"
mkdir "$dir/dist"
cd "$dir/dist"
quietly "$top/configure"
quietly make dist
tarball=$(echo bltfs-*.tar.gz)
name=${tarball%.tar.gz}
version=${name#bltfs-}
# all that is documented goes along
missing=$(comm -23 \
	<(git -C "$top" -c safe.directory="$top" ls-files doc README.md NEWS |
		sort) \
	<(tar -tf "$tarball" | sed "s|^$name/||" | sort))
[[ -z $missing ]] || { echo "not in $tarball: $missing" >&2; exit 1; }

echo "== the packages"
mkdir "$dir/package"
cd "$dir/package"
cp "$dir/dist/$tarball" "bltfs_$version.orig.tar.gz"
tar -xf "$dir/dist/$tarball"
cp -a "$top/doc/packaging/debian" "$name/"
cd "$name"
DEB_BUILD_PROFILES=nocheck DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" quietly dpkg-buildpackage -us -uc
cd ..
[[ -e $(echo libblt1_"$version"-*.deb) ]]

echo "== lintian"
# no request for a package stands behind the first upload
lintian --allow-root --fail-on error,warning \
	--suppress-tags initial-upload-closes-no-bugs ./*.changes

[[ ${1:-} == root ]] || exit 0

# with another umask, language, time zone and directory
echo "== the same once more"
mkdir "$dir/again"
cp "bltfs_$version.orig.tar.gz" "$dir/again"
(
	cd "$dir/again"
	tar -xf "bltfs_$version.orig.tar.gz"
	cp -a "$top/doc/packaging/debian" "$name/"
	cd "$name"
	umask 077
	export LC_ALL=C.UTF-8 TZ=Pacific/Auckland
	DEB_BUILD_PROFILES=nocheck DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" \
		quietly dpkg-buildpackage -us -uc -b
)
for deb in *.deb; do
	cmp "$deb" "$dir/again/$deb" || {
		echo "$deb differs from build to build" >&2
		exit 1
	}
done

echo "== a fresh root"
make_root bookworm
mkdir "$root/root/debs"
cp ./*.deb "$root/root/debs"
inside 'find / -xdev -not -path "/root/*" -not -path "/var/*" | sort' \
	>"$dir/before"
# shellcheck disable=SC2016 # expanded inside
inside '
	apt-get update
	apt-get install -y --no-install-recommends /root/debs/bltfs_*.deb
	blt doctor
	blt create /root/kv.blt
	mkdir /root/kv
	bltfs /root/kv.blt /root/kv
	echo hello >/root/kv/greeting
	blt umount /root/kv
	[ "$(blt get /root/kv.blt greeting)" = hello ]
	blt check /root/kv.blt
	ls /usr/share/man/man8/bltfs.8.gz /usr/share/man/man1/blt.1.gz \
		/usr/share/doc/bltfs/README.md* \
		/usr/share/bash-completion/completions/blt.bash \
		/usr/share/doc/bltfs/examples/srv-kv.mount
' >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; exit 1; }

echo "== a program of libblt"
cat >"$root/root/main.c" <<'END'
#include <blt.h>

int main(void)
{
	struct blt_view v;
	struct blt *store;

	if (blt_open("/root/kv.blt", NULL, &store, NULL) < 0 ||
	    blt_get(store, "greeting", 8, &v) < 0 || v.len != 6)
		return 1;
	blt_view_release(&v);
	return blt_close(store) < 0;
}
END
# shellcheck disable=SC2016 # expanded inside
inside '
	apt-get install -y --no-install-recommends gcc libc6-dev pkg-config
	apt-get install -y --no-install-recommends \
		/root/debs/libblt1_*.deb /root/debs/libblt-dev_*.deb
	ls /usr/share/doc/libblt-dev/examples/inventory.c \
		/usr/share/man/man3/libblt.3.gz
	cd /root
	gcc -o main main.c $(pkg-config --cflags --libs libblt)
	./main
	objdump -p main | grep -F "libblt.so.1" >/dev/null
' >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; exit 1; }

echo "== the Python module"
inside '
	apt-get install -y --no-install-recommends /root/debs/python3-blt_*.deb
	cd /root
	python3 -c "
import blt as booklet
with booklet.open(\"kv.blt\") as store:
    assert store[\"greeting\"] == b\"hello\\n\"
"
' >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; exit 1; }

echo "== removed"
inside 'apt-get purge -y bltfs libblt1 libblt-dev python3-blt' >"$dir/log" 2>&1 ||
	{ tail -n 40 "$dir/log"; exit 1; }
left=$(inside 'find / -xdev -not -path "/root/*" -not -path "/var/*" | sort' |
	comm -13 "$dir/before" - | grep -E '/(lib|mount\.|_)?blt[^/]*$' || true)
[[ -z $left ]] || { echo "left behind: $left" >&2; exit 1; }
