#!/bin/bash
# The checker finds no fault in what Python wrote, and reads from it what
# Python put in.
set -euo pipefail

tests=$(cd "$(dirname "$0")/.." && pwd)
vectors=${VECTORS:-$tests/vectors}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

checker() {
	"${PYTHON:-python3}" -B "$tests/lib/checker.py" "$@"
}

count=0
for file in "$vectors"/*.blt; do
	expect=${file%.blt}.expect
	options=()
	[[ $file != */crashmark.blt ]] || options=(--allow-open)

	checker "${options[@]}" --loads "$file"
	checker "${options[@]}" --dump "$file" >"$dir/dump"
	{
		checker "${options[@]}" --header "$file"
		checker "${options[@]}" --hidden "$file"
	} | LC_ALL=C sort >"$dir/header"

	sed '/^#/d' "$expect" | diff -u - "$dir/dump"
	# these two say how the file came to be, and are not in it
	sed -nE '/^# (note|prune_removed) /d; /^#/p' "$expect" |
		diff -u - "$dir/header"
	count=$((count + 1))
done
((count >= 28))

if checker "$vectors/crashmark.blt" >"$dir/out"; then
	echo "crashmark.blt passed without --allow-open" >&2
	exit 1
fi
grep -q 'at 33: n_keys is 0xFFFFFFFF' "$dir/out"
echo "$count files"
