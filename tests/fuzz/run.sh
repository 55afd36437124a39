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

libs=$(pkg-config --cflags --libs libb2 libmd libxxhash libzstd)
engine=()
for file in "$top"/src/*.c; do
	[[ $file == */tool*.c ]] || engine+=("$file")
done

mkdir -p seeds
cp "$top"/tests/fuzz/seeds/* seeds/
find "$top/tests/vectors" -name '*.blt' -size -4k -exec cp {} seeds/ \;

for source in "$top"/tests/fuzz/fuzz-*.c; do
	name=$(basename "$source" .c)
	[[ -z $only || $only == "$name" ]] || continue
	# shellcheck disable=SC2086 # several words
	clang -g -O1 -std=gnu11 -pthread -D_GNU_SOURCE -I"$top/src" \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-o "$name" "$source" "${engine[@]}" $libs
	mkdir -p "corpus-$name"
	"./$name" -max_total_time="$seconds" -timeout=20 -max_len=8192 \
		-close_fd_mask=1 -verbosity="${FUZZ_VERBOSITY:-0}" \
		"corpus-$name" seeds
done
