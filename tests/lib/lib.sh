# shellcheck shell=bash
# lib.sh - for the tests of the mount; sourced by each.
#
#   . "$(dirname "$0")/../lib/lib.sh"
#   start kv.blt -o create      mounts it on $mnt, in $tmp, where the test is
#   ...
#   stop                        unmounts; the daemon must end well and in silence
#   check_store kv.blt          Python would open it, and load each item
#   if can times; then ...      what not every engine does
#
# BLT_ENGINE says which kind of store a new one is; tests that are to run with
# each have a wrapper that sets it.
#
# The daemon runs in the foreground with its messages in $log; a message that
# the test does not expect (expect_log) fails it.  What is left mounted at the
# end is unmounted, and $tmp removed.
set -euo pipefail

[[ -c /dev/fuse && -w /dev/fuse ]] || { echo "no /dev/fuse"; exit 77; }
: "${BLTFS:?}" "${PYTHON:=python3}" "${BLT_ENGINE:=booklet}"

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tmp=$(mktemp -d)
mnt=$tmp/mnt
log=$tmp/log
daemon=
mkdir "$mnt"
cd "$tmp"

cleanup() {
	local status=$?
	cd /
	fusermount3 -u -z -q "$mnt" 2>/dev/null || true
	if [[ -n $daemon ]]; then
		kill -KILL "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
	if ((status != 0 && status != 77)) && [[ -s $log ]]; then
		echo "---- the daemon said ----"
		cat "$log"
	fi >&2
	rm -rf "$tmp"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
	echo "$0:${BASH_LINENO[0]}: $*" >&2
	exit 1
}

# is CONDITION WHAT: [[ ]] with a message
same() {
	[[ $1 == "$2" ]] || fail "got '$1', expected '$2'${3:+ ($3)}"
}

# until_true WHAT COMMAND...: waits for at most a minute.
until_true() {
	local what=$1 i
	shift
	for ((i = 0; i < 3000; i++)); do
		"$@" && return
		read -rt 0.02 <> <(:) || true
	done
	fail "waited in vain: $what"
}

# is_plain STORE: its header says that it was closed, as Python requires.
is_plain() {
	[[ $(od -An -tu2 -j16 -N2 "$1") -ne 0 ]]
}

is_live() {
	kill -0 "$daemon" 2>/dev/null || {
		wait "$daemon" || true
		daemon=
		fail "the daemon ended before the mount was live"
	}
	mountpoint -q "$mnt"
}

# start STORE [ARGUMENT...]
start() {
	local store=$1
	shift
	: >"$log"
	[[ $BLT_ENGINE == booklet || "$*" != *create* ]] ||
		set -- "$@" -o "engine=$BLT_ENGINE"
	[[ -z ${BLT_IO_URING:-} || " $*" =~ " -s"|poll_us|clone_fd ]] ||
		set -- "$@" -o "io_uring=$BLT_IO_URING"
	# whoever runs this may have told us to ignore them, as nohup does, and
	# a shell its background jobs
	env --default-signal=HUP,INT,TERM \
		"$BLTFS" -f "$store" "$mnt" "$@" 2>>"$log" &
	daemon=$!
	until_true "mount" is_live
}

# end_daemon [CODE]: after an unmount or a signal.
end_daemon() {
	local status=0
	wait "$daemon" || status=$?
	daemon=
	same "$status" "${1:-0}" "exit code of the daemon"
	check_log
}

# unmount DIRECTORY: who looks at all mounts, as df does, holds it for a moment.
unmount() {
	local i
	for ((i = 0; i < 3000; i++)); do
		fusermount3 -u "$1" 2>"$tmp/unmount" && return
		read -rt 0.02 <> <(:) || true
	done
	{ cat "$tmp/unmount"; fuser -vm "$1" || true; fail "unmount"; } >&2
}

stop() {
	unmount "$mnt"
	end_daemon 0
}

check_log() {
	[[ ! -s $log ]] || fail "the daemon said: $(cat "$log")"
}

# expect_log PATTERN: there is such a line; it is taken out.
expect_log() {
	grep -qE -- "$1" "$log" || fail "no '$1' in the daemon's messages"
	grep -vE -- "$1" "$log" >"$log.rest" || true
	cat "$log.rest" >"$log"
}

# What a mount of an LMDB environment does not do, and why not.
declare -A lmdb_lacks=(
	[times]="an item has no time: what is shown is the environment's"
)

# can WHAT: whether the engine does; that it is left out is said.
can() {
	[[ $BLT_ENGINE != lmdb || -z ${lmdb_lacks[$1]-} ]] && return
	echo "left out: $1: ${lmdb_lacks[$1]}" >&2
	return 1
}

# pack ARGUMENT...: tar, which ends with 1 where a time changes as it reads.
pack() {
	local status=0
	tar "$@" || status=$?
	((status == 0)) || { ((status == 1)) && ! can times; }
}

# refuses CODE TEXT COMMAND...: it fails so, and says that on stderr.
refuses() {
	local code=$1 text=$2 status=0
	shift 2
	"$@" >"$tmp/out" 2>"$tmp/err" </dev/null || status=$?
	same "$status" "$code" "$* said: $(cat "$tmp/err")"
	grep -qE -- "$text" "$tmp/err" ||
		fail "$* did not say '$text' but: $(cat "$tmp/err")"
}

check_store() {
	if [[ $BLT_ENGINE != booklet ]]; then
		"$BLT" check -q "$@" || fail "$* is damaged"
		return
	fi
	"$PYTHON" "$tests/lib/checker.py" --loads "$@" || fail "$* is damaged"
}
