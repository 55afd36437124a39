#!/bin/bash
# An installed libblt serves a program that knows only blt.h and pkg-config,
# shared and static.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

make install DESTDIR="$dir" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
pc=$(find "$dir" -name libblt.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$dir
libdir=$(dirname "$(dirname "$pc")")

cat >"$dir/main.c" <<'END'
#include <blt.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	struct blt_error err;
	struct blt_view v;
	struct blt *store;

	if (argc != 2 || blt_open(argv[1], &how, &store, &err) < 0) {
		fprintf(stderr, "%s\n", argc == 2 ? err.text : "usage");
		return 1;
	}
	if (blt_put(store, "key", 3, "value", 5, BLT_NOW) < 0 ||
	    blt_sync(store) < 0 || blt_get(store, "key", 3, &v) < 0)
		return 1;
	printf("%.*s\n", (int)v.len, (const char *)v.data);
	blt_view_release(&v);
	return blt_close(store) < 0;
}
END

read -ra cc <<<"${CC:-cc}"
read -ra sanitize <<<"${SANITIZE_CFLAGS:-}"
read -ra cflags <<<"$(pkg-config --cflags libblt)"
read -ra shared <<<"$(pkg-config --libs libblt)"
# what a static one needs besides itself
read -ra private <<<"$(pkg-config --static --libs libblt | sed 's/ *-lblt//')"
# The page of a package that only libblt needs may be missing.
PKG_CONFIG_LIBDIR=${pc%/*} pkg-config --cflags --libs --static libblt >/dev/null
readelf -d "$libdir/libblt.so" | grep -F 'Library soname: [libblt.so.1]' >/dev/null

"${cc[@]}" "${sanitize[@]}" "${cflags[@]}" -o "$dir/shared" "$dir/main.c" \
	"${shared[@]}"
"${cc[@]}" "${sanitize[@]}" "${cflags[@]}" -o "$dir/static" "$dir/main.c" \
	"$libdir/libblt.a" "${private[@]}"

[[ $(LD_LIBRARY_PATH=$libdir "$dir/shared" "$dir/a.blt") == value ]]
[[ $("$dir/static" "$dir/b.blt") == value ]]
"${PYTHON:-python3}" -B "$(dirname "$0")/checker.py" "$dir/a.blt" "$dir/b.blt"
for program in shared static; do
	if "$dir/$program" "$dir" 2>"$dir/err"; then
		echo "opened a directory" >&2
		exit 1
	fi
	grep -qF "$dir" "$dir/err"
done
