#!/bin/bash
# -o decode: values that are stored as zstd frames are shown as what is in them,
# with that length, and what is written is coded.
. "$(dirname "$0")/../lib/lib.sh"
command -v zstd >/dev/null || { echo "no zstd"; exit 77; }

# stored STORE KEY: the value as it is in the store, decoded by another program
stored() {
	"$BLT" get "$1" "$2" >raw
	zstd -dcq raw
}

head -c 300000 /dev/zero | tr '\0' a >long
head -c 200000 /dev/urandom >noise
start kv.blt -o create,value_serializer=zstd,decode
echo hello >"$mnt/f"
cp long noise "$mnt"
: >"$mnt/empty"
mkdir "$mnt/d"
"$PYTHON" -c 'import os, sys; os.mknod(sys.argv[1])' "$mnt/made"
same "$(cat "$mnt/f")" hello
same "$(stat -c %s "$mnt/f" "$mnt/long" "$mnt/empty" "$mnt/made" |
	tr '\n' ' ')" "6 300000 0 0 "
echo more >>"$mnt/f"
truncate -s 5 "$mnt/long"
printf b | dd of="$mnt/long" bs=1 seek=2 conv=notrunc status=none
exec 5<"$mnt/f"
rm "$mnt/f"
same "$(cat <&5)" $'hello\nmore' "unlinked while open"
exec 5<&-
printf 'hello\nmore\n' >"$mnt/f"
mv "$mnt/f" "$mnt/d/g"
stop
check_store kv.blt
same "$(stored kv.blt d/g)" $'hello\nmore'
same "$(stored kv.blt long)" aabaa
same "$(stored kv.blt empty)" ""
stored kv.blt noise | cmp - noise

# the same after another mount, and as they are stored without the option
start kv.blt -o decode
same "$(stat -c '%n %s' "$mnt"/* "$mnt"/d/* | sed "s,$mnt/,," | tr '\n' ' ')" \
	"d 0 empty 0 long 5 made 0 noise 200000 d/g 11 "
# shellcheck disable=SC2012 # what a listing with sizes shows is the point
same "$(ls -l "$mnt" | awk '$NF == "noise" { print $5 }')" 200000
cmp noise "$mnt/noise"
same "$(cat "$mnt/long")" aabaa
touch -d @7 "$mnt/long"
same "$(stat -c '%s %Y' "$mnt/long")" "5 7"
stop
start kv.blt
zstd -dcq "$mnt/noise" | cmp - noise
refuses 1 'Invalid argument' cp long "$mnt/x"
expect_log 'x: not stored: .*serializer zstd'
stop

# a content that does not load inside the frame; spilled to a file
start json.blt -o create,value_serializer=orjson_zstd,decode,max_staging=4K
echo '{"a": [1, 2]}' >"$mnt/f"
refuses 1 'Invalid argument' cp long "$mnt/x"
expect_log 'x: not stored: .*serializer orjson_zstd'
{ printf '"'; head -c 100000 long; printf '"'; } >text
cp text "$mnt"
same "$(stat -c %s "$mnt/text")" 100002
same "$(tail -c 3 "$mnt/text")" 'aa"'
stop
check_store json.blt
same "$(stored json.blt f)" '{"a": [1, 2]}'

# a vector that Python wrote
if [[ -n ${VECTORS:-} ]]; then
	cp "$VECTORS/zstd-values.blt" vector.blt
	chmod u+w vector.blt
	start vector.blt -o ro,decode
	while read -r path; do
		"$BLT" get "$VECTORS/zstd-values.blt" "$path" >raw
		zstd -dcq raw | cmp - "$mnt/$path" || fail "$path"
		same "$(stat -c %s "$mnt/$path")" "$(zstd -dcq raw | wc -c)" "$path"
	done < <(cd "$mnt" && find . -type f -printf '%P\n')
	stop
fi

# nothing to decode
"$BLT" create plain.blt
refuses 64 'plain.blt: -o decode is for values that are zstd-coded.*bytes' \
	"$BLTFS" plain.blt "$mnt" -o decode
"$BLT" create --value-len 8 fixed.blt
refuses 64 'fixed.blt: -o decode is for .*; those of this store are bytes of one length; mount it without' \
	"$BLTFS" fixed.blt "$mnt" -o decode
