#!/bin/bash
# Builds the fuzzers with clang and runs each for some seconds.
#
#   tests/fuzz/run.sh [SECONDS [FUZZER]]    10 unless given; all of them
#
# What they find worth keeping stays in build-fuzz/corpus-FUZZER; an input that
# brings one down in build-fuzz too, named in the last lines of the output.
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-10}
only=${2:-}
out=$top/build-fuzz

command -v clang >/dev/null || { echo "needs clang" >&2; exit 77; }
mkdir -p "$out"
cd "$out"

packages=(libb2 libmd libxxhash libzstd)
libs=$(pkg-config --libs "${packages[@]}")
options=(-g -O1 -std=gnu11 -pthread -D_GNU_SOURCE -I"$top/src"
	-DPKGLIBEXECDIR='"/nonexistent"'
	"-fsanitize=fuzzer-no-link,address,undefined" -fno-sanitize-recover=all)
for flag in $(pkg-config --cflags "${packages[@]}"); do
	options+=("$flag")
done

# The engine, and what blt load needs: once for all fuzzers.
rm -rf objects libengine.a
mkdir objects
files=()
while IFS= read -r file; do
	case $file in
	*/tool_batch.c | */tool_load.c | */tool_time.c | */tool_value.c) ;;
	*/tool/* | */lmdb/* | */postgres/* | */python/* | */build_facts.c) continue ;;
	esac
	files+=("$file")
done < <(find "$top/src" -name '*.c' | sort)
(cd objects && clang "${options[@]}" -c "${files[@]}")
ar cr libengine.a objects/*.o

mkdir -p seeds
cp "$top"/tests/fuzz/seeds/* seeds/
find "$top/tests/vectors" \( -name '*.blt' -o -name '*.expect' \) -size -4k \
	-exec cp {} seeds/ \;

for source in "$top"/tests/fuzz/fuzz-*.c; do
	name=$(basename "$source" .c)
	[[ -z $only || $only == "$name" ]] || continue
	# shellcheck disable=SC2086 # several words
	clang "${options[@]}" -fsanitize=fuzzer -o "$name" "$source" \
		libengine.a $libs
	mkdir -p "corpus-$name"
	"./$name" -max_total_time="$seconds" -timeout=5 -max_len=8192 \
		-close_fd_mask=1 -verbosity="${FUZZ_VERBOSITY:-0}" \
		"corpus-$name" seeds
done
