#!/bin/bash
# Ordinary tools at work in a mount.
. "$(dirname "$0")/../lib/lib.sh"

export HOME=$tmp GIT_CONFIG_NOSYSTEM=1
git config --global user.name Tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main

start kv.blt -o create
cd "$mnt"

# tar
mkdir -p "$tmp/src/sub/deep"
for i in 1 2 3; do echo "file $i" >"$tmp/src/sub/f$i"; done
ln -s f1 "$tmp/src/sub/link"
touch -d '2020-02-02 02:02:02' "$tmp/src/sub/f2"
tar -C "$tmp" -cf "$tmp/src.tar" src
tar xf "$tmp/src.tar"
diff -r --no-dereference "$tmp/src" src
if can times; then
	same "$(stat -c %Y src/sub/f2)" "$(date -d '2020-02-02 02:02:02' +%s)"
fi
pack cf - src | tar tf - >"$tmp/listed"
same "$(wc -l <"$tmp/listed")" 7

# git
git init -q repo
cd repo
mkdir lib
echo one >a.txt
echo two >lib/b.txt
git add .
git commit -qm first
same "$(git status --porcelain)" ""
echo three >>a.txt
same "$(git status --porcelain)" " M a.txt"
git commit -qam second
git mv lib/b.txt lib/c.txt
git commit -qm third
git gc -q
git fsck --strict 2>"$tmp/fsck"
git clone -q . ../clone
git clone -q . "$tmp/clone"
diff -r --exclude=.git . ../clone
diff -r --exclude=.git . "$tmp/clone"
cd ..

# editors
printf 'red\ngreen\n' >colours
sed -i s/green/blue/ colours
same "$(cat colours)" $'red\nblue'
vi=$(command -v vim || command -v vim.tiny || true)
if [[ -n $vi ]]; then
	# it asks before it writes over what has another time than it had
	answer=
	can times || answer=y
	"$vi" -u NONE -N -es -c 'set backup backupskip=' -c '%s/red/black/' \
		-c 'wq' colours <<<"$answer"
	same "$(cat colours)" $'black\nblue'
	same "$(cat colours~)" $'red\nblue'
fi

# moving
mkdir -p one/two
echo deep >one/two/three
mv one uno
same "$(cat uno/two/three)" deep
mv uno/two/three uno/drei
same "$(cat uno/drei)" deep
[[ -d uno/two && ! -e one ]] || fail "mv"
mv uno "$tmp/out"
same "$(cat "$tmp/out/drei")" deep
mv "$tmp/out" back
same "$(find back | sort | tr '\n' ' ')" "back back/drei back/two "

# pieces of files
printf 0123456789 >digits
truncate -s 4 digits
same "$(cat digits)" 0123
truncate -s 6 digits
same "$(od -An -c digits | tr -d ' ')" '0123\0\0'
printf XY | dd of=digits bs=1 seek=2 conv=notrunc status=none
same "$(od -An -c digits | tr -d ' ')" '01XY\0\0'
printf far | dd of=sparse bs=1 seek=100000 status=none
same "$(stat -c %s sparse)" 100003
dd if=sparse bs=1000 skip=100 count=1 status=none >"$tmp/tail"
same "$(cat "$tmp/tail")" far
echo one >log
echo two >>log
(echo three; echo four) >>log
same "$(tr '\n' ' ' <log)" "one two three four "
dd if=/dev/urandom of="$tmp/big" bs=64K count=100 status=none
cp "$tmp/big" big
cmp big "$tmp/big"
cp big big2
cmp big2 "$tmp/big"

# whole trees go
rm -r repo clone src back
# shellcheck disable=SC2012 # what ls shows is the point
same "$(ls | tr '\n' ' ')" "big big2 colours ${vi:+colours~ }digits log sparse "
cd "$tmp"
sum=$(cd "$mnt" && md5sum -- *)
stop
check_store kv.blt
start kv.blt
same "$(cd "$mnt" && md5sum -- *)" "$sum" "after a remount"
stop
