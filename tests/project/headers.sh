#!/bin/bash
# Every header of src/ and fs/ compiles alone and twice, and the public ones in
# C++ too, without a warning.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
read -ra cc <<<"${CC:-cc}"
flags=(-std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
	-DFUSE_USE_VERSION=312 "-I$top/src" "-I$top/fs")
read -ra fuse <<<"$(pkg-config --cflags fuse3)"
read -ra postgres <<<"$(pkg-config --cflags libpq 2>/dev/null)"
# empty where the Python module is not built
read -ra python <<<"${PYTHON_CFLAGS:-}"
failed=0
count=0

# compiles LANGUAGE HEADER FLAG...
compiles() {
	printf '#include "%s"\n#include "%s"\n' "$2" "$2" |
		"${cc[@]}" -x "$1" -Wall -Wextra -Werror -fsyntax-only "${@:3}" -
}

while IFS= read -r header; do
	# an engine that was left out
	[[ $header != */lmdb_* ]] || echo '#include <lmdb.h>' |
		"${cc[@]}" -x c -fsyntax-only - 2>/dev/null || continue
	[[ $header != */pg_*.h ]] || echo '#include <libpq-fe.h>' |
		"${cc[@]}" -x c "${postgres[@]}" -fsyntax-only - 2>/dev/null ||
		continue
	[[ $header != */uring_inner.h ]] || echo '#include <liburing.h>' |
		"${cc[@]}" -x c -fsyntax-only - 2>/dev/null || continue
	[[ $header != */pyblt.h || ${#python[@]} -gt 0 ]] || continue
	count=$((count + 1))
	compiles c "$header" "${flags[@]}" "${fuse[@]}" "${python[@]}" \
		"${postgres[@]}" || {
		echo "$header does not compile alone" >&2
		failed=1
	}
done < <(find "$top/src" "$top/fs" -name '*.h' | sort)
((count > 0)) || { echo "no headers under $top" >&2; exit 1; }
for header in "$top/src/blt.h" "$top/src/blt_map.h" \
	"$top/fs/bltfs_ioctl.h"; do
	[[ -e $header ]] || continue
	printf 'int main() { return 0; }\n' |
		"${cc[@]}" -x c++ -fsyntax-only - 2>/dev/null || break
	compiles c++ "$header" || {
		echo "$header does not compile as C++" >&2
		failed=1
	}
done
echo "$count headers"
exit "$failed"
