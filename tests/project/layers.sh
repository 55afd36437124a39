#!/bin/bash
# Every #include "..." of src/ and fs/ goes to its own row or a lower layer of
# tests/project/layers.txt, and names the folder; src/ knows nothing of FUSE.
#
# With a directory as argument it checks that one, laid out as the project is
# (the check's own test uses it).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=${1:-$here/../..}
table=$top/tests/project/layers.txt
failed=0

fault() {
	printf '%s\n' "$*" >&2
	failed=1
}

# row_of DIRECTORY FILE: prints the layer and the row of a source or header.
row_of() {
	local dir layer name=${2%.[ch]} pattern number=0
	local -a row
	while read -ra row; do
		number=$((number + 1))
		dir=${row[0]-} layer=${row[1]-}
		[[ $dir == "$1" && $layer == [0-9]* ]] || continue
		for pattern in "${row[@]:2}"; do
			# shellcheck disable=SC2053 # a pattern, not a string
			[[ $name == $pattern ]] || continue
			echo "$layer $number"
			return
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

# below OWN TARGET: whether a file of one row may include a header of the other.
below() {
	local layer row target other
	read -r layer row <<<"$1"
	read -r target other <<<"$2"
	((target < layer || row == other))
}

# check_file DIRECTORY FILE
check_file() {
	local dir=$1 file=$2 own other target name line
	if ! own=$(row_of "$dir" "$file"); then
		fault "$dir/$file: not in tests/project/layers.txt; add its folder" \
			"or module there"
		return
	fi
	other=fs
	[[ $dir == fs ]] && other=src
	while IFS=: read -r line name; do
		name=${name#*\"}
		name=${name%%\"*}
		if [[ /$name/ == */../* ]]; then
			fault "$dir/$file:$line: include $name by its folder" \
				"in src/ or fs/"
		elif [[ -e $top/$dir/$name ]]; then
			target=$(row_of "$dir" "$name") || continue
			below "$own" "$target" ||
				fault "$dir/$file:$line: layer ${own% *}" \
					"includes $name of layer ${target% *}"
		elif [[ -e $top/$other/$name ]]; then
			sees "$dir" "${own% *}" "$name" ||
				fault "$dir/$file:$line: $name is not" \
					"offered to layer ${own% *} of $dir/"
		elif [[ $name != config.h ]]; then
			fault "$dir/$file:$line: there is no $name in" \
				"src/ or fs/; include it by its folder"
		fi
	done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
		"$top/$dir/$file")
	[[ $dir == fs ]] ||
		! grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<fuse' \
			"$top/$dir/$file" >&2 || fault "$dir/ knows no FUSE"
}

count=0
for dir in src fs; do
	while IFS= read -r path; do
		check_file "$dir" "${path#"$top/$dir/"}"
		count=$((count + 1))
	done < <(find "$top/$dir" -name '*.[ch]' | sort)
done
((count > 0)) || fault "no sources under $top"
((failed == 0)) && echo "$count files keep to their layers"
exit "$failed"
