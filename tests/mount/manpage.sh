#!/bin/bash
# The help and the man page name the same options.
set -euo pipefail

page=$(dirname "$0")/../../doc/bltfs.8
help=$("$BLTFS" --help)

# In the help: "  name[=ARG]   text" behind "Options behind -o:"
shown=$(sed -n '/^Options behind/,$s/^  \([a-z_]*\)[= ].*/\1/p' <<<"$help" |
	sort -u)
[[ $(wc -l <<<"$shown") -gt 20 ]]
described=$(sed -nE '/^\.Ss Mount options/,/^\.Sh/{
	s/ Ns = Ns Ar [A-Za-z]+//g; /^\.It Cm /{s/^\.It//; s/Cm//g; s/[ ,]+/\n/g; p}
	}' "$page" | grep . | sort -u)
missing=$(comm -23 <(echo "$shown") <(echo "$described"))
[[ -z $missing ]] || { echo "not in $page: $missing" >&2; exit 1; }
extra=$(comm -13 <(echo "$shown") <(echo "$described") |
	grep -vxE '(no)?(dev|suid|exec|atime)' || true)
[[ -z $extra ]] || { echo "only in $page: $extra" >&2; exit 1; }

# The page describes no option that is refused.
while read -r option; do
	said=$("$BLTFS" /dev/null/x /dev/null/y -o "$option=" 2>&1 || true)
	[[ $said != *"no such option"* ]] ||
		{ echo "$page has $option: $said" >&2; exit 1; }
done <<<"$described"

# Letters
for letter in f d s h V; do
	if ! grep -q -- "^  -$letter" <<<"$help" ||
		! grep -q "^\.It Fl $letter" "$page"; then
		echo "-$letter" >&2
		exit 1
	fi
done
