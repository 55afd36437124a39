#!/bin/bash
# More programs at work in a mount: what looks, what builds, databases, and what
# waits for changes.
. "$(dirname "$0")/../lib/lib.sh"

for program in sqlite3 unzip zip inotifywait less "${CC%% *}"; do
	command -v "$program" >/dev/null ||
		{ echo "$program is not installed"; exit 77; }
done
watcher=
end() {
	local status=$?
	[[ -z $watcher ]] || kill "$watcher" 2>/dev/null || true
	(exit "$status") || cleanup
	cleanup
}
trap end EXIT

start kv.blt -o create
cd "$mnt"

# ---- cp -a keeps times and links; install; ln ----
mkdir -p "$tmp/src/sub"
printf 'one\nquokka\nthree\n' >"$tmp/src/text"
cp "$BASH" "$tmp/src/sub/program"
ln -s ../text "$tmp/src/sub/link"
touch -d '2001-02-03 04:05:06.789' "$tmp/src/text"
cp -a "$tmp/src" copy
diff -r --no-dereference "$tmp/src" copy
if can times; then
	same "$(stat -c %.6Y copy/text)" "$(stat -c %.6Y "$tmp/src/text")"
fi
cp -a copy again
diff -r --no-dereference copy again
copy/sub/program -c 'exit 0'
install -D -m 644 copy/text etc/deep/text
cmp etc/deep/text copy/text
install -d etc/other
refuses 1 'Operation not permitted' ln copy/text hard
[[ ! -e hard ]] || fail "a hard link"
rm -r again etc

# ---- what looks ----
same "$(find . -type f -name 't*' -newermt 2000-01-01 | sort)" ./copy/text
same "$(find . -type l)" ./copy/sub/link
same "$(grep -rl quokka .)" ./copy/text
same "$(less -FX copy/text </dev/null | tail -n 1)" three
same "$(head -n 1 copy/text)$(wc -l <copy/text)" one3
same "$(du -s --apparent-size -B1 copy/text | cut -f1)" 17
(($(du -sk copy/sub | cut -f1) > 500)) || fail "du"
same "$(df --output=fstype,target . | tail -n 1 | tr -s ' ')" "fuse.bltfs $mnt"
same "$(df --output=size . | tail -n 1)" "$(df --output=size "$tmp" | tail -n 1)"
same "$(realpath copy/sub/link)" "$mnt/copy/text"

# ---- archives ----
(cd copy && zip -qr ../archive.zip text sub/program)
unzip -q archive.zip -d unzipped
cmp unzipped/sub/program copy/sub/program
unzip -tq archive.zip >"$tmp/out"
pack czf archive.tgz copy
rm -r copy unzipped
tar xzf archive.tgz
diff -r --no-dereference "$tmp/src" copy
rm -r copy archive.zip archive.tgz

# ---- sqlite, in both kinds of journal ----
rows=()
for mode in delete wal; do
	sqlite3 "$mode.db" "PRAGMA journal_mode=$mode;
		CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT);" >"$tmp/out"
	same "$(<"$tmp/out")" "$mode"
	for i in 1 2 3; do
		sqlite3 "$mode.db" "BEGIN; WITH RECURSIVE c(x) AS
			(SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500)
			INSERT INTO t (text) SELECT hex(randomblob(20)) FROM c;
			COMMIT; DELETE FROM t WHERE n % 7 = $i;"
	done
	sqlite3 "$mode.db" 'BEGIN; DELETE FROM t; ROLLBACK; VACUUM;'
	same "$(sqlite3 "$mode.db" 'PRAGMA integrity_check')" ok
	rows+=("$(sqlite3 "$mode.db" 'SELECT count(*), sum(n) FROM t')")
done
same "${rows[0]}" "${rows[1]}"

# ---- a small project ----
mkdir project
cat >project/main.c <<'END'
#include "hello.h"
int main(void) { return hello() - 42; }
END
echo 'int hello(void);' >project/hello.h
printf '#include "hello.h"\nint hello(void) { return 42; }\n' >project/hello.c
cat >project/Makefile <<'END'
project: main.o hello.o
	$(CC) -o $@ main.o hello.o
main.o hello.o: hello.h
END
# no sanitizer and no cache: this is about the files
make -s -C project CC="${CC##* }"
project/project
touch project/hello.h
if can times; then
	make -s -C project -q CC="${CC##* }" && fail "make sees no change"
fi
make -s -C project CC="${CC##* }"
project/project

# ---- python ----
"$PYTHON" - <<'END'
import dbm.dumb, json, os, pathlib, shelve, tempfile
with shelve.Shelf(dbm.dumb.open("shelf")) as shelf:
    for i in range(50):
        shelf[str(i)] = {"n": i, "list": list(range(i))}
with shelve.Shelf(dbm.dumb.open("shelf")) as shelf:
    assert len(shelf) == 50 and shelf["7"]["list"] == list(range(7))
with open("text", "w+", encoding="utf-8") as f:
    f.write("größe\n" * 1000)
    f.seek(0)
    assert sum(1 for _ in f) == 1000
p = pathlib.Path("a/b/c.json")
p.parent.mkdir(parents=True)
p.write_text(json.dumps({"a": 1}))
assert json.loads(p.read_text()) == {"a": 1}
with tempfile.NamedTemporaryFile(dir=".") as f:
    f.write(b"x")
    f.flush()
    assert os.path.getsize(f.name) == 1
assert not os.path.exists(f.name)
END

# ---- what waits for changes ----
echo first >log
tail -n +1 -f log >"$tmp/followed" 2>/dev/null &
watcher=$!
until_true "the first line" grep -qs first "$tmp/followed"
echo second >>log
until_true "the second line" grep -qs second "$tmp/followed"
kill "$watcher"
wait "$watcher" 2>/dev/null || true
mkdir watched
inotifywait -m --format '%e %f' watched >"$tmp/events" 2>"$tmp/watching" &
watcher=$!
until_true "the watch" grep -qs established "$tmp/watching"
echo x >watched/new
mv watched/new watched/moved
rm watched/moved
until_true "an event of the end" grep -q -s '^DELETE moved' "$tmp/events"
for event in 'CREATE new' 'CLOSE_WRITE,CLOSE new' 'MOVED_TO moved'; do
	grep -q "^$event" "$tmp/events" || fail "no $event"
done
kill "$watcher"
wait "$watcher" 2>/dev/null || true
watcher=

cd "$tmp"
sum=$(cd "$mnt" && find . -type f -exec md5sum {} + | sort)
stop
check_store kv.blt
start kv.blt -o ro
same "$(cd "$mnt" && find . -type f -exec md5sum {} + | sort)" "$sum"
for mode in delete wal; do
	cp "$mnt/$mode.db" .
	same "$(sqlite3 "$mode.db" 'SELECT count(*), sum(n) FROM t')" \
		"${rows[0]}" "$mode, after a remount"
done
stop
