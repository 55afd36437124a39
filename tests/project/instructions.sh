#!/bin/bash
# A guard against growing slower that no load on the machine can mislead: the
# instructions that a get, a put and their like take, as callgrind counts them,
# against what tests/project/instructions.txt says they took.
#
#   tests/project/instructions.sh         fails where one takes over 10 % more
#   UPDATE=1 tests/project/instructions.sh   writes the file anew
set -euo pipefail

skip() { echo "skipped: $*"; exit 77; }

here=$(cd "$(dirname "$0")" && pwd)
kept=$here/instructions.txt
counted=${COUNTED:-$PWD/tests/project/counted}
read -ra cc <<<"${CC:-cc}"

command -v valgrind >/dev/null || skip "valgrind is not installed"
command -v callgrind_annotate >/dev/null || skip "no callgrind_annotate"
[[ ${SANITIZERS:-no} == no ]] || skip "a sanitizer's instructions count too"
[[ $(uname -m) == x86_64 ]] || skip "the counts are those of x86-64"
# what compiled it, and how: by what is in the program itself
compiled=$(readelf --debug-dump=info "$counted" 2>/dev/null |
	sed -nE '/DW_AT_producer/{s/.*\): //;s/.*: (GNU|clang)/\1/;p;q}') || true
echo "compiled by: ${compiled:-what tells nothing of itself}"
# whatever else it is told (no optimising, coverage, hardening) changes them
options=" $(sed -E 's/^GNU C11 12\.[0-9.]+ //' <<<"$compiled") "
for known in -mtune=generic -march=x86-64 -g -O2 -std=gnu11 -fvisibility=hidden \
	-fasynchronous-unwind-tables; do
	[[ $options == *" $known "* ]] ||
		skip "the counts are those of gcc 12 with $known (here: ${cc[*]})"
	options=${options/ $known / }
done
[[ ${options// /} == "" ]] || skip "the counts are those without$options"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The C library has its own ways for each processor; these every one has.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-ERMS,-FSRM
valgrind --tool=callgrind --callgrind-out-file="$tmp/out" \
	"$counted" "$tmp/store.blt" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}
callgrind_annotate --inclusive=yes --threshold=100 "$tmp/out" |
	sed -nE 's/^ *([0-9,]+) .*:count_([a-z_]+)( .*|$)/\2 \1/p' |
	tr -d , | sort -u >"$tmp/counts"
[[ -s $tmp/counts ]] || { echo "callgrind_annotate named none" >&2; exit 1; }

# per operation, without what making its name takes
awk -v times=4096 '
	{ total[$1] = $2 }
	END {
		for (name in total) {
			own = total[name]
			if (name != "sync" && name != "scan" && name != "naming")
				own -= total["naming"]
			if (name != "naming")
				printf "%s %d\n", name, own / times
		}
	}' "$tmp/counts" | sort >"$tmp/now"

if [[ -n ${UPDATE:-} ]]; then
	{
		sed -n '/^#/p' "$kept"
		cat "$tmp/now"
	} >"$tmp/kept"
	cat "$tmp/kept" >"$kept"
fi

awk '
	FNR == NR { if ($0 !~ /^#/) kept[$1] = $2; next }
	{ now[$1] = $2 }
	END {
		for (name in kept) {
			if (!(name in now)) {
				print name ": was not counted"
				bad = 1
				continue
			}
			verdict = "fine"
			if (now[name] > kept[name] * 1.1) {
				verdict = "OVER 10 % MORE"
				bad = 1
			} else if (now[name] < kept[name] * 0.9) {
				verdict = "less: UPDATE=1 keeps that"
			}
			printf "%-10s %6d instructions, kept %6d: %s\n", \
				name, now[name], kept[name], verdict
		}
		exit bad
	}' "$kept" "$tmp/now"
