# shellcheck shell=bash
# root.sh - a fresh minimal Debian, for the tests that want one; sourced.
#
#   . "$(dirname "$0")/root.sh"
#   make_root SUITE    debootstrap makes it in $root, below $dir, from the mirror
#                      that this machine's apt uses; exits 77 where it cannot
#   inside 'COMMANDS'  runs them there, as root, at home, with nothing of our
#                      environment
#   as_user NAME 'COMMANDS'    the same as another user, who is there
#
# Needs root, /dev/fuse and the mirror.  $dir is removed at the end, with all that
# is mounted below it.
set -euo pipefail

dir=$(mktemp -d)
root=$dir/root

clean_up() {
	local at
	cd /
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

make_root() {
	local mirror
	command -v debootstrap >/dev/null || {
		echo "there is no debootstrap"
		exit 77
	}
	mirror=$(apt_mirror) || { echo "apt has no Debian mirror"; exit 77; }
	debootstrap --variant=minbase "$1" "$root" "$mirror" \
		>"$dir/log" 2>&1 || { tail -n 20 "$dir/log"; exit 77; }
	# how this machine reaches its mirror is for the new root too
	cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	mount --make-rslave "$root/dev"
	# as udev has it on a system that was booted: for everybody
	mknod -m 666 "$dir/fuse" c 10 229
	mount --bind "$dir/fuse" "$root/dev/fuse"
	[[ -e $root/etc/mtab ]] || ln -sf ../proc/self/mounts "$root/etc/mtab"
}

inside() {
	enter root /root "$1"
}

as_user() {
	enter "$1" "/home/$1" "$2"
}

# enter USER HOME COMMANDS
enter() {
	chroot --userspec="$1" "$root" /usr/bin/env -i HOME="$2" LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		bash -euc "cd; $3"
}
