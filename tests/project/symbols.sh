#!/bin/bash
# Both libraries show all that blt.h offers, and no name but blt_*; the manual
# page has each function.
set -euo pipefail

# check LIBRARY NAMES
check() {
	local other
	other=$(awk 'NF == 3 && $2 ~ /[A-TV-Z]/ && $3 !~ /^blt_/ { print $3 }' \
		<<<"$2")
	# what the compiler's own instruments add is not ours
	other=$(grep -vE '^(_?_?(asan|ubsan|tsan|odr|sanitizer)|__gcov|$)' \
		<<<"$other" || true)
	[[ -z $other ]] || { printf '%s shows\n%s\n' "$1" "$other" >&2; exit 1; }
}
check libblt.a "$(nm --defined-only --extern-only libblt.a)"
check libblt.so "$(nm -D --defined-only .libs/libblt.so)"

# Every function that the headers offer is there.
headers=("$(dirname "$0")"/../../src/blt.h "$(dirname "$0")"/../../src/blt_seq.h)
names=$(cat "${headers[@]}" | tr '\n' ' ' |
	grep -oE 'BLT_PUBLIC [^();]*\(' | grep -oE 'blt_[a-z0-9_]+ ?\($' |
	tr -d '( ')
[[ -n $names ]]
for lib in "$(nm --defined-only --extern-only libblt.a)" \
	"$(nm -D --defined-only .libs/libblt.so)"; do
	for name in $names; do
		grep -qE " [TW] $name\$" <<<"$lib" ||
			{ echo "$name is in a header and not in the library" >&2; exit 1; }
	done
done

page=$(dirname "$0")/../../doc/libblt.3
prototypes=$(cat "${headers[@]}" | tr -s '\n\t ' ' ' | grep -oE 'BLT_PUBLIC [^;#]*;' |
	sed 's/^BLT_PUBLIC //')
while read -r prototype; do
	grep -qF "$prototype" "$page" ||
		{ echo "not in libblt.3, or otherwise: $prototype" >&2; exit 1; }
done <<<"$prototypes"
