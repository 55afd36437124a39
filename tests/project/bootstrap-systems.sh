#!/bin/bash
# ./bootstrap on systems that are no Debian says what to install, in their words;
# ./bootstrap check tells of each test as it ends, and why one was skipped.
set -euo pipefail

bootstrap=$(cd "$(dirname "$0")/../.." && pwd)/bootstrap
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() {
	echo "$*" >&2
	exit 1
}

# says ID LIKE WORD...: on a system of that name.
says() {
	printf 'ID=%s\nID_LIKE="%s"\n' "$1" "$2" >os-release
	BLTFS_OS_RELEASE=$dir/os-release "$bootstrap" packages 2>out
	for word in "${@:3}"; do
		grep -qwF -- "$word" out || fail "$1: no $word in: $(cat out)"
	done
}

says debian "" "apt-get install" libfuse3-dev liblmdb-dev python3-lmdb \
	libpq-dev postgresql
says ubuntu debian "apt-get install" pkg-config
says fedora "" "dnf install" fuse3-devel lmdb-devel xxhash-devel python3-lmdb gcc \
	libpq-devel postgresql-server
says rocky "rhel centos fedora" "dnf install" pkgconf-pkg-config
says arch "" "pacman -S --needed" fuse3 lmdb xxhash zstd python-lmdb \
	postgresql-libs postgresql
says manjaro arch "pacman" libarchive
says plan9 "" "not known here" "autoconf, automake, libtool and pkg-config" \
	"libfuse 3.14" libfuse3-dev
! grep -- '-dev' <(says arch ""; cat out) || fail "Debian's names for Arch"

# ---- check: with a make that runs four tests ----
mkdir tree tree/build bin
cp "$bootstrap" tree
printf '#!/bin/bash\n' >tree/configure
chmod +x tree/configure
cat >bin/make <<'END'
#!/bin/bash
case "$*" in
*" check")
	cd "$2"
	echo "no device here" >tests/skipped.log
	echo "SKIP tests/skipped.sh (exit status: 77)" >>tests/skipped.log
	echo "it broke" >tests/broken.log
	echo "PASS: tests/good.sh"
	# the next ones wait until the first line has been read
	read -r _ <go
	echo "SKIP: tests/skipped.sh"
	echo "FAIL: tests/broken.py"
	exit 1
	;;
esac
END
cat >bin/dpkg-query <<'END'
#!/bin/bash
shift 3
for name; do echo "$name installed"; done
END
chmod +x bin/*
mkdir tree/build/tests
mkfifo tree/build/go results
: >tree/build/Makefile
printf '#!/bin/bash\n# ac_pwd\n' >tree/build/config.status
printf "ac_pwd='%s'\n" "$(cd tree/build && pwd)" >>tree/build/config.status
chmod +x tree/build/config.status
printf 'ID=debian\n' >os-release
PATH=$dir/bin:$PATH BLTFS_OS_RELEASE=$dir/os-release tree/bootstrap check \
	>results 2>errors &
exec 3<results
read -r line <&3
[[ $line == "PASS: tests/good.sh" ]] || fail "first: $line"
echo >tree/build/go
read -r line <&3
[[ $line == "SKIP: tests/skipped.sh (no device here)" ]] || fail "second: $line"
read -r line <&3
[[ $line == "FAIL: tests/broken.py" ]] || fail "third: $line"
rest=$(cat <&3)
[[ $rest == *"it broke"* && $rest == *$'\n1 passed, 1 failed, 1 skipped' ]] ||
	fail "the rest: $rest"
if wait $!; then fail "a failure passed"; fi
