#!/bin/bash
# An installed libblt serves a program that knows only blt.h and pkg-config,
# shared and static: the example.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

make install DESTDIR="$dir" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
pc=$(find "$dir" -name libblt.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$dir
libdir=$(dirname "$(dirname "$pc")")

example=$(dirname "$0")/../../doc/examples/inventory.c

read -ra cc <<<"${CC:-cc}"
read -ra sanitize <<<"${SANITIZE_CFLAGS:-}"
read -ra cflags <<<"$(pkg-config --cflags libblt)"
read -ra shared <<<"$(pkg-config --libs libblt)"
# what a static one needs besides itself
read -ra private <<<"$(pkg-config --static --libs libblt | sed 's/ *-lblt//')"
# The page of a package that only libblt needs may be missing.
PKG_CONFIG_LIBDIR=${pc%/*} pkg-config --cflags --libs --static libblt >/dev/null
readelf -d "$libdir/libblt.so" | grep -F 'Library soname: [libblt.so.1]' >/dev/null

"${cc[@]}" "${sanitize[@]}" "${cflags[@]}" -o "$dir/shared" "$example" \
	"${shared[@]}"
"${cc[@]}" "${sanitize[@]}" "${cflags[@]}" -o "$dir/static" "$example" \
	"$libdir/libblt.a" "${private[@]}"

said='stock/apples: 31
sold/pears: 7
last: pears'
[[ $(LD_LIBRARY_PATH=$libdir "$dir/shared" "$dir/a.blt") == "$said" ]]
[[ $("$dir/static" "$dir/b.blt") == "$said" ]]
[[ $(doc/examples/inventory "$dir/c.blt") == "$said" ]]
"${PYTHON:-python3}" -B "$(dirname "$0")/../lib/checker.py" "$dir"/[abc].blt
for program in shared static; do
	if "$dir/$program" "$dir" 2>"$dir/err"; then
		echo "opened a directory" >&2
		exit 1
	fi
	grep -qF "$dir" "$dir/err"
done
