#!/bin/bash
# What cannot be mounted is refused with a message and an exit code; what the
# options promise is so.
. "$(dirname "$0")/../lib/lib.sh"

usage=64 data=65 noinput=66 cantcreat=73 tempfail=75

# ---- the command line ----
refuses $usage 'STORE and MOUNTPOINT missing' "$BLTFS"
refuses $usage 'MOUNTPOINT missing' "$BLTFS" kv.blt
refuses $usage 'x: one operand too many' "$BLTFS" kv.blt "$mnt" x
refuses $usage '-q: no such option; .bltfs -h. lists them' "$BLTFS" -q kv.blt "$mnt"
refuses $usage '--frob: no such option' "$BLTFS" --frob kv.blt "$mnt"
refuses $usage '-o wants a value' "$BLTFS" kv.blt "$mnt" -o
bad() {
	refuses $usage "$1" "$BLTFS" kv.blt "$mnt" -o "$2"
	[[ ! -e kv.blt ]] || fail "-o $2 made a store"
}
bad 'no_such: no such option; .bltfs -h. lists them' create,no_such
bad 'no_such: no such option' no_such=1
bad 'value_serialiser: no such option; did you mean value_serializer' create,value_serialiser=str
bad 'create: takes no value' create=1
bad 'commit: wants a value [(]-o commit=SECONDS[)]' create,commit
bad 'commit: wants a value' create,commit=
bad 'commit=0: not a number from 1 to 86400' commit=0
bad 'commit=1x: not a number' commit=1x
bad 'commit=99999999999999999999: not a number' commit=99999999999999999999
bad 'uid=-1: not a number' uid=-1
bad 'umask=8: not an octal number' umask=8
bad 'fmask=1777: not an octal number' fmask=1777
bad 'max_staging=5X: not a size such as 64M' max_staging=5X
bad 'buckets.*wants -o create' buckets=5
bad 'value_len.*wants -o create' value_len=5
bad 'no_timestamps.*wants -o create' no_timestamps
bad 'ro and -o create contradict' ro,create
bad 'ro and -o rw contradict' ro,rw
bad 'ro and -o sync contradict' ro,sync
bad 'poll_us and -o clone_fd contradict each other' poll_us=5,clone_fd
bad 'io_uring=maybe: not one of auto|yes|no' io_uring=maybe
bad 'io_uring=yes and -o clone_fd contradict each other' io_uring=yes,clone_fd
bad 'io_uring=yes and -o poll_us contradict each other' io_uring=yes,poll_us=5
bad 'max_read=abc: not a number' create,max_read=abc
bad 'max_read=1: not a number from 4096' create,max_read=1
bad 'auto_unmount: takes no value' create,auto_unmount=1
bad 'poll_us=x: not a number' poll_us=x
bad 'lock_timeout=-1: not a number' lock_timeout=-1
bad 'dmask=: wants a value|dmask: wants a value' dmask=
bad 'decode: takes no value' decode=yes
bad 'x-: no such option' x-
bad 'value_serializer contradict' create,value_len=8,value_serializer=str
for option in buckets=7 value_len=8 key_serializer=str value_serializer=str no_timestamps; do
	bad "-o ${option%=*} is for booklet stores.*leave it" "create,engine=lmdb,$option"
done
bad 'key_serializer=klingon: no such serializer' create,key_serializer=klingon
bad 'map=x: not NAME=COMMAND' map=x
bad 'control=a/b: not a file name' create,control=a/b
bad "control=a%: not a file name" create,control=a%
"$BLTFS" -h >out
grep -q '^Usage: bltfs STORE MOUNTPOINT' out || fail "-h"
! grep '.\{81\}' out || fail "long lines"
"$BLTFS" -V | grep -q '^bltfs [0-9.]* (libfuse [0-9.]*)' || fail "-V"
"$BLTFS" -V | grep -q '^engines   booklet' || fail "-V has no engines"

# ---- what a shell offers ----
offers() {
	same "$("$BLTFS" --complete -- "${@:2}" | cut -f 1 | tr '\n' ' ')" "$1"
}
offers ":files " ""
offers ":files " kv.blt ""
offers ":none -f " -f
offers ":none --help " --h
offers ":none create " kv.blt mnt -o cre
offers ":none -ocreate " kv.blt mnt -ocre
offers ":none ro,create " kv.blt mnt -o ro,cre
offers ":none create,value_len= create,value_serializer= " -o create,va
offers ":none key_serializer=str " -o key_serializer=st
offers ":none engine=booklet " -o engine=b
offers ":none " -o nonsense=
shown=$("$BLTFS" -h | sed -n '/^Options behind/,$s/^  \([a-z_]*\)[= ].*/\1/p')
same "$("$BLTFS" --complete -- -o "" | sed 1d | cut -f 1 | tr -d =)" "$shown"

# ---- the store ----
# the path as it was given, and no name in front of an error
refuses $noinput \
	'^bltfs: kv.blt: cannot open: No such file.*; make a store with .blt create., or mount with -o create$' \
	"$BLTFS" kv.blt "$mnt"
refuses $noinput '^bltfs: nowhere/kv.blt: cannot open the store: No such.*; make a store with' \
	"$BLTFS" nowhere/kv.blt "$mnt"
refuses $cantcreat '^bltfs: nowhere/kv.blt: cannot open the store: No such.*; make the directory first$' \
	"$BLTFS" nowhere/kv.blt "$mnt" -o create
mkdir dir
refuses $data 'dir' "$BLTFS" dir "$mnt"
: >empty
refuses $data '^bltfs: empty: is no booklet file: .* give a file that booklet or .blt create. made' \
	"$BLTFS" empty "$mnt"
head -c 5000 /dev/zero >zeros
refuses $data 'zeros' "$BLTFS" zeros "$mnt"

# ---- the mount point ----
refuses $noinput 'nowhere: cannot mount there.*make the directory' \
	"$BLTFS" kv.blt nowhere -o create
refuses $usage 'zeros: cannot mount there: not a directory; give an empty one' \
	"$BLTFS" kv.blt zeros -o create
mkdir full
: >full/x
refuses $usage 'full: cannot mount there: the directory is not empty' \
	"$BLTFS" kv.blt full -o create
mkdir -p around/in
refuses $usage 'inside its own mount point' \
	"$BLTFS" around/in/kv.blt around -o create,nonempty
[[ -z $(find . -name '*.blt') ]] || fail "a store was made"

# ---- a store is mounted once ----
start kv.blt -o create,umask=077,fsname='a\,b'
mkdir other
refuses $tempfail "^bltfs: kv.blt: is in use by .*[(]pid ${daemon}[)].*; close or unmount it there, or wait longer [(]-o lock_timeout[)]$" \
	"$BLTFS" kv.blt other -o lock_timeout=0
refuses $tempfail 'kv.blt: is in use' "$BLTFS" kv.blt other -o ro,lock_timeout=0
echo x >"$mnt/f"
same "$(stat -c '%a %u %F' "$mnt/f")" "600 $(id -u) regular file"
same "$(stat -c '%a' "$mnt")" 700
same "$(findmnt -no SOURCE,FSTYPE "$mnt" | tr -s ' ')" "a,b fuse.bltfs"
same "$(stat -c %a kv.blt)" 600 "nobody else can read a new store"
stop

# ---- two may read ----
start kv.blt -o ro,uid=1,gid=2
"$BLTFS" kv.blt other -o ro
same "$(cat "$mnt/f" other/f)" $'x\nx'
same "$(stat -c '%u %g' "$mnt/f")" "1 2"
refuses 1 'Read-only' touch "$mnt/new"
refuses 1 'Read-only' rm "$mnt/f"
unmount other
stop

# ---- control: the name is taken, unless there is none ----
start kv.blt -o control=ctl
refuses 1 'exists' mkdir "$mnt/ctl"
mkdir "$mnt/.bltfs"
stop
start kv.blt -o control=none
mkdir "$mnt/ctl"
touch "$mnt/.bltfs/ctl"
stop
start kv.blt
same "$(find "$mnt" -mindepth 1 | sort | sed "s,$mnt/,," | tr '\n' ' ')" \
	"%2Ebltfs %2Ebltfs/ctl ctl f "
stop

# ---- links, and one thread ----
start kv.blt
ln -s f "$mnt/link"
stop
start kv.blt -s -o nosymlinks
same "$(stat -c '%F %s' "$mnt/link")" "regular file 1067"
stop

# ---- new stores ----
start new.blt -o create,buckets=7,no_timestamps,value_serializer=str
echo text >"$mnt/f"
stop
"$PYTHON" "$tests/lib/checker.py" --header new.blt >header
for want in 'n_buckets 7' 'timestamps 0' 'value_serializer 2'; do
	grep -q "^# $want\$" header || fail "no '$want'"
done
check_store new.blt
