#!/bin/bash
# A fresh minimal Debian 12 runs both commands of the README.
#
# Makes a root directory with debootstrap from the mirror that this machine's
# apt uses, puts the committed files in it, and follows the README there.  Needs root,
# /dev/fuse and the mirror; takes minutes, so it is no part of "make check".
# Exits 77 where debootstrap cannot make the root.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
root=$dir/root

clean_up() {
	local at
	# innermost first; a lazy unmount leaves nothing behind for rm to find
	while read -r at; do
		umount -l "$at" || true
	done < <(awk -v p="$dir/" 'index($5, p) == 1 { print $5 }' \
		/proc/self/mountinfo | sort -r)
	if grep -q " $dir/" /proc/self/mountinfo; then
		echo "still mounted below $dir; left as it is" >&2
	else
		rm -rf --one-file-system "$dir"
	fi
}
trap clean_up EXIT

# apt_mirror: the first Debian archive in apt's sources, either format.
apt_mirror() {
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p' |
		grep -m 1 -E '/debian/?$' && return
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' |
		grep -m 1 -E '/debian/?$'
}

# make_root: a Debian 12 with nothing but the base packages.
make_root() {
	local mirror
	command -v debootstrap >/dev/null || {
		echo "there is no debootstrap"
		exit 77
	}
	mirror=$(apt_mirror) || { echo "apt has no Debian mirror"; exit 77; }
	debootstrap --variant=minbase bookworm "$root" "$mirror" \
		>"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 77; }
	# how this machine reaches its mirror is for the new root too
	cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	mount --make-rslave "$root/dev"
}

inside() {
	chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		bash -euc "$1"
}

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
