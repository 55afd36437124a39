#!/bin/bash
# A tree of a few thousand files goes in, comes out the same, and is the same
# after another mount; rsync finds nothing to do the second time.  TREE_FILES:
# how many.
. "$(dirname "$0")/../lib/lib.sh"
: "${TREE_FILES:=2500}"

# copied ARGUMENT...: what rsync copies, makes or sets the time of; modes, which
# the mount drops, are no matter
copied() {
	if can times; then
		rsync -ai "$@" | grep -E '^[<>ch]|^[^ ]{4}t' || true
	else
		rsync -aic "$@" | grep '^[<>ch]' || true
	fi
}

"$PYTHON" - tree "$TREE_FILES" <<'END'
import os, random, sys
random.seed(1)
dirs = [sys.argv[1]]
os.mkdir(dirs[0])
count = int(sys.argv[2])
for i in range(count * 2 // 25):
    d = os.path.join(random.choice(dirs), f"dir {i}")
    os.mkdir(d)
    dirs.append(d)
for i in range(count):
    size = random.choice((0, 1, 100, 1067, 4096, 5000, 70000))
    with open(os.path.join(random.choice(dirs), f"file-{i}.ü"), "wb") as f:
        f.write(random.randbytes(size))
os.symlink("dir 0", os.path.join(dirs[0], "link"))
os.symlink("/nowhere/at all", os.path.join(dirs[3], "broken"))
END

start kv.blt -o create
cp -r tree "$mnt/"
diff -r --no-dereference tree "$mnt/tree"
stop
check_store kv.blt

start kv.blt
diff -r --no-dereference tree "$mnt/tree"
same "$(find "$mnt/tree" | wc -l)" "$(find tree | wc -l)"
rsync -a tree "$mnt/copy"
same "$(copied tree "$mnt/copy")" "" "second rsync"
stop

start kv.blt -o ro
same "$(copied -n tree "$mnt/copy")" "" "rsync after a remount"
diff -r --no-dereference tree "$mnt/copy/tree"
rsync -a "$mnt/copy/tree/" back
diff -r --no-dereference tree back
stop

start kv.blt
rm -r "$mnt/tree" "$mnt/copy"
same "$(ls -A "$mnt")" ""
stop
check_store kv.blt
