#!/bin/bash
# Every #include "..." of src/ and fs/ goes to its own layer or a lower one,
# as tests/layers.txt has them; src/ knows nothing of FUSE.
#
# With a directory as argument it checks that one, laid out as the project is
# (the check's own test uses it).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=${1:-$here/..}
table=$top/tests/layers.txt
failed=0

fault() {
	printf '%s\n' "$*" >&2
	failed=1
}

# layer_of DIRECTORY FILE: prints the layer of a source file or header.
layer_of() {
	local dir layer name=${2%.[ch]} pattern
	local -a row
	while read -ra row; do
		dir=${row[0]-} layer=${row[1]-}
		[[ $dir == "$1" && $layer == [0-9]* ]] || continue
		for pattern in "${row[@]:2}"; do
			# shellcheck disable=SC2053 # a pattern, not a string
			[[ $name == $pattern ]] && echo "$layer" && return
		done
	done <"$table"
	return 1
}

# sees DIRECTORY LAYER HEADER: whether the other directory's header is offered.
sees() {
	local dir verb files file
	while read -r dir verb files; do
		[[ $dir == "$1" && $verb == sees ]] || continue
		for file in $files; do
			[[ ${file%@*} == "$3" && $2 -ge ${file#*@} ]] && return
		done
	done <"$table"
	return 1
}

# check_file DIRECTORY FILE
check_file() {
	local dir=$1 file=$2 layer other target name line
	if ! layer=$(layer_of "$dir" "$file"); then
		fault "$dir/$file: not in tests/layers.txt; add its module there"
		return
	fi
	other=fs
	[[ $dir == fs ]] && other=src
	while IFS=: read -r line name; do
		name=${name#*\"}
		name=${name%%\"*}
		if [[ $name == */* ]]; then
			fault "$dir/$file:$line: include $name without its path"
		elif [[ -e $top/$dir/$name ]]; then
			target=$(layer_of "$dir" "$name") || continue
			((target <= layer)) || fault "$dir/$file:$line:" \
				"layer $layer includes $name of layer $target"
		elif [[ -e $top/$other/$name ]]; then
			sees "$dir" "$layer" "$name" ||
				fault "$dir/$file:$line: $name is not" \
					"offered to layer $layer of $dir/"
		elif [[ $name != config.h ]]; then
			fault "$dir/$file:$line: there is no $name"
		fi
	done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
		"$top/$dir/$file")
	[[ $dir == fs ]] ||
		! grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<fuse' \
			"$top/$dir/$file" >&2 || fault "$dir/ knows no FUSE"
}

count=0
for dir in src fs; do
	for path in "$top/$dir"/*.[ch]; do
		[[ -e $path ]] || continue
		check_file "$dir" "$(basename "$path")"
		count=$((count + 1))
	done
done
((count > 0)) || fault "no sources under $top"
((failed == 0)) && echo "$count files keep to their layers"
exit "$failed"
