#!/usr/bin/env python3
"""A mount that is asked by a program of its own, which has bltfs_ioctl.h and
bltfs-control(7) and nothing else; what blt jobs tells; the jobs that are kept.
"""

import json
import os
import re
import shlex
import shutil
import subprocess

import controllib
import toollib as t
from controllib import Mount, check, until
from maplib import put, values

work = controllib.directory()
store = os.path.join(work, "kv.blt")
KEPT = 100

PROGRAM = r"""
#include <bltfs_ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%d: %s (errno %d)\n", __LINE__, \
				#what, errno); \
			exit(1); \
		} \
	} while (0)
#define REFUSED(number, call) \
	do { \
		errno = 0; \
		MUST((call) == -1 && errno == (number)); \
	} while (0)

static int fd;

static struct bltfs_job_info job_end(uint64_t job)
{
	const struct timespec ts = { .tv_nsec = 10000000 };
	struct bltfs_job_info info = { .job = job };

	for (;;) {
		MUST(ioctl(fd, BLTFS_IOC_JOB, &info) == 0);
		MUST(info.job == job);
		if (info.state >= BLTFS_JOB_DONE)
			break;
		nanosleep(&ts, NULL);
	}
	MUST(info.queued > 0 && info.ended >= info.queued);
	return info;
}

static struct bltfs_job_info done(uint64_t job, const char *kind)
{
	struct bltfs_job_info info = job_end(job);

	MUST(info.state == BLTFS_JOB_DONE && info.error == 0);
	MUST(strcmp(info.kind, kind) == 0);
	MUST(info.ended >= info.started && info.started >= info.queued);
	return info;
}

static void facts(const char *path)
{
	struct bltfs_name name;
	struct bltfs_store s;
	struct bltfs_key key = { .offset = 0 };
	int file = open(path, O_RDONLY);

	MUST(ioctl(fd, BLTFS_IOC_NAME, &name) == 0);
	MUST(strcmp(name.name, ".bltfs") == 0);
	MUST(ioctl(fd, BLTFS_IOC_SYNC) == 0);
	MUST(ioctl(fd, BLTFS_IOC_STORE, &s) == 0);
	MUST(s.keys == 10 && s.path[0] == '/' && s.buckets > 0);
	MUST(file >= 0 && ioctl(file, BLTFS_IOC_KEY, &key) == 0);
	MUST(key.key_len == 1 && key.len == 1 && key.bytes[0] == '3');
	MUST(key.size == 7);
	key.offset = 2;
	MUST(ioctl(file, BLTFS_IOC_KEY, &key) == 0 && key.len == 0);
	REFUSED(ENOTTY, ioctl(fd, _IO(BLTFS_IOC_MAGIC, 99)));
}

static uint64_t piece(uint64_t args, const void *bytes, uint32_t len)
{
	struct bltfs_piece p = { .args = args, .len = len };

	memcpy(p.bytes, bytes, len);
	MUST(ioctl(fd, BLTFS_IOC_PIECE, &p) == 0 && p.args);
	return p.args;
}

/* All are older than now; "4" and "5" stay. */
static void prune(void)
{
	struct bltfs_prune plain = { .older_than = 0 }, old = { .args = 0 };
	struct bltfs_piece bad = { .len = BLTFS_PIECE_MAX + 1 };

	MUST(ioctl(fd, BLTFS_IOC_PRUNE, &plain) == 0);
	MUST(done(plain.job, "prune").fact[0] == 0);
	old.older_than = (int64_t)time(NULL) * 1000000 + 1000000000;
	old.args = piece(0, "\1\0\0\0" "4", 5);
	MUST(piece(old.args, "\1\0\0\0" "5", 5) == old.args);
	MUST(ioctl(fd, BLTFS_IOC_PRUNE, &old) == 0);
	MUST(done(old.job, "prune").fact[0] == 8);
	REFUSED(ENOENT, ioctl(fd, BLTFS_IOC_PRUNE, &old)); /* used up */
	REFUSED(EINVAL, ioctl(fd, BLTFS_IOC_PIECE, &bad));
}

static void copy(const char *to)
{
	struct bltfs_copy c = { .buckets = 77 }, bad = { .reserved = 1 };

	snprintf(c.path, sizeof(c.path), "%s", to);
	snprintf(bad.path, sizeof(bad.path), "%s.2", to);
	MUST(ioctl(fd, BLTFS_IOC_COPY, &c) == 0);
	done(c.job, "copy");
	MUST(ioctl(fd, BLTFS_IOC_COPY, &c) == 0);
	MUST(job_end(c.job).state == BLTFS_JOB_FAILED);
	c.flags = BLTFS_COPY_REPLACE;
	MUST(ioctl(fd, BLTFS_IOC_COPY, &c) == 0);
	done(c.job, "copy");
	REFUSED(EINVAL, ioctl(fd, BLTFS_IOC_COPY, &bad));
}

static void others(void)
{
	struct bltfs_reindex r = { .buckets = 101 }, bad = { .reserved = 1 };
	struct bltfs_job job = { 0 };
	struct bltfs_job_error line = { .index = 0 };
	struct bltfs_map map = { .args = 0 };
	struct bltfs_job_info next = { .job = 0 };
	struct bltfs_store s;

	MUST(ioctl(fd, BLTFS_IOC_REINDEX, &r) == 0);
	done(r.job, "reindex");
	MUST(ioctl(fd, BLTFS_IOC_STORE, &s) == 0 && s.buckets == 101);
	REFUSED(EINVAL, ioctl(fd, BLTFS_IOC_REINDEX, &bad));
	MUST(ioctl(fd, BLTFS_IOC_TRIM, &job) == 0);
	done(job.job, "trim");
	MUST(ioctl(fd, BLTFS_IOC_COUNT, &job) == 0);
	MUST(done(job.job, "count").fact[0] > 0);
	line.job = job.job;
	REFUSED(ENODATA, ioctl(fd, BLTFS_IOC_JOB_ERROR, &line));
	MUST(ioctl(fd, BLTFS_IOC_CANCEL, &job) == 0); /* too late: nothing */
	done(job.job, "count");
	job.job = 999999;
	REFUSED(ESRCH, ioctl(fd, BLTFS_IOC_CANCEL, &job));
	map.args = piece(0, "garbage", 7);
	MUST(ioctl(fd, BLTFS_IOC_MAP, &map) == -1 ||
	     job_end(map.job).state == BLTFS_JOB_FAILED);
	while (ioctl(fd, BLTFS_IOC_NEXT_JOB, &next) == 0)
		MUST(next.job > 0 && next.state >= BLTFS_JOB_DONE);
	MUST(errno == ESRCH && next.job >= line.job);
}

int main(int argc, char **argv)
{
	struct bltfs_job job = { 0 };

	MUST(argc == 4);
	fd = open(argv[1], O_RDONLY);
	MUST(fd >= 0);
	facts(argv[2]);
	copy(argv[3]);
	others();
	prune();
	MUST(ioctl(fd, BLTFS_IOC_CLEAR, &job) == 0);
	MUST(done(job.job, "clear").fact[0] == 2);
	return 0;
}
"""


def build():
    """With the one header, as it is installed."""
    include = os.path.join(work, "include")
    os.mkdir(include)
    shutil.copy(os.path.join(t.TOP, "fs", "bltfs_ioctl.h"), include)
    source, program = (os.path.join(work, n) for n in ("ask.c", "ask"))
    with open(source, "w", encoding="ascii") as f:
        f.write(PROGRAM)
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-Wall",
                    "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I" + include,
                    "-o", program, source], check=True)
    return program


def check_program():
    """On the root, and on the file control."""
    program = build()
    with Mount(store, "create", expect="job .* failed: ") as m:
        for where in ("", ".bltfs/control"):
            copy = os.path.join(work, f"copy{len(where)}.blt")
            for i in range(10):
                put(m, f"{i}", b"value %d" % i)
            subprocess.run([program, os.path.join(m.path, where),
                            os.path.join(m.path, "3"), copy], check=True)
            assert values(m) == {}
            check(copy)
            assert json.loads(t.ok("info", "--json", copy))["keys"] == 10
    check(store)


def told(m, job):
    return next(j for j in json.loads(t.ok("jobs", "--json", m.path))
                if j["job"] == int(job))


def check_table(m):
    """How fast a job is and how long it will take, while it is running."""
    script = '[ "$BLT_KEY" != 9 ] || exec sleep 100000; [ "$BLT_KEY" != 1 ]'
    job = t.ok("map", "--detach", "-j", "1", m.path, "--", "sh", "-c",
               script).decode().strip()
    now = until("an estimate", lambda: (
        lambda j: j["items"] and j["seconds_left"] > 0 and j["errors"] and j)(
            told(m, job)))
    assert now["rate"] > 0 and now["state"] == "running", now
    head, *rows = t.ok("jobs", m.path).decode().splitlines()
    assert head.split() == ["JOB", "KIND", "STATE", "KEYS", "DONE", "RATE",
                            "LEFT", "ERRORS", "RESULT"], head
    row = rows[-1]
    assert row.split()[:3] == [job, "map", "running"], row
    assert "/s " in row and row.split()[-1] == "1", row
    status = m.lines("jobs", job, "status")
    assert float(status["rate"]) >= 0 and "eta" in status, status
    t.ok("cancel", m.path, job)
    assert m.ended(job)["state"] == "cancelled"
    # a map counts keys, and the bytes of their values
    said = json.loads(t.ok("map", "--json", m.path, "-b", "identity"))
    sizes = sum(map(len, values(m).values()))
    assert said["value_bytes"] == sizes, (said, sizes)
    row = t.ok("jobs", m.path).decode().splitlines()[-1]
    assert f" 10 {sizes} B " in re.sub(" +", " ", row), row


def check_kept(m):
    """The last ones are there, by each road; the first have gone."""
    last = 0
    for _ in range(KEPT + 10):
        last = int(m.tell("count").split()[1])
        m.ended(last)  # what waits is kept besides
    jobs = [j["job"] for j in json.loads(t.ok("jobs", "--json", m.path))]
    wanted = list(range(last - KEPT + 1, last + 1))
    assert jobs[-KEPT:] == wanted, jobs
    assert len(jobs) <= KEPT + 1, "more than the last"
    assert sorted(map(int, os.listdir(m.control("jobs")))) == jobs
    assert len(t.ok("jobs", m.path).splitlines()) == len(jobs) + 1


def main():
    check_program()
    with Mount(store) as m:
        for i in range(10):
            put(m, f"{i}", b"value %d" % i)
        check_table(m)
        check_kept(m)
    check(store)


main()
