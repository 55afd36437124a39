#!/bin/bash
# What a newcomer types, out of the README alone, with the seconds that each step
# takes.  Run in a fresh root (fresh-root.sh), in a copy of the sources:
#
#   newcomer.sh install    the commands under "Install" but for the clone, as root
#   newcomer.sh build      ./bootstrap build alone, as anybody
#   newcomer.sh try        the commands under "Try it", in a new directory; with the
#                          programs of build/ where none are installed
#
# Whether they print what the README says is for tests/project/readme.py to see;
# here each must succeed.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
who=$(id -un)
# shellcheck source=/dev/null
system=$(. /etc/os-release && echo "$ID $VERSION_ID")

# step COMMAND: runs it in this shell, and tells how long it took.
step() {
	local start=$EPOCHREALTIME end
	# with a code of its own, which says nothing of this script
	eval "$1" || { echo "newcomer: failed ($?): $1"; exit 1; }
	end=$EPOCHREALTIME
	printf 'newcomer: %s, %s: %4d.%d s  %s\n' "$system" "$who" \
		$(((${end/./} - ${start/./}) / 1000000)) \
		$(((${end/./} - ${start/./}) / 100000 % 10)) "$1"
}

# section TITLE: that part of the README.
section() {
	sed -n "/^## $1\$/,/^## [^${1:0:1}]/p" "$top/README.md"
}

commands=()
case ${1:-} in
install)
	cd "$top"
	mapfile -t commands < <(section Install | sed -n 's/^    //p' |
		grep -v '^git clone ')
	;;
build)
	cd "$top"
	commands=("./bootstrap build")
	;;
try)
	cd "$(mktemp -d)"
	command -v blt >/dev/null || PATH=$top/build:$PATH
	mapfile -t commands < <(section "Try it" | sed -n 's/^\$ //p')
	;;
*)
	echo "usage: newcomer.sh install|build|try" >&2
	exit 64
	;;
esac
((${#commands[@]} > 0)) || { echo "the README has no commands: $1" >&2; exit 1; }
for command in "${commands[@]}"; do
	step "$command"
done
