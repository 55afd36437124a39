#include "crash/crashdisk.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR 512u
#define PAGE 4096u

static void *need(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

uint64_t crash_mix(uint64_t seed, uint64_t a, uint64_t b)
{
	uint64_t x = seed + a * UINT64_C(0x9e3779b97f4a7c15) +
		     b * UINT64_C(0xc2b2ae3d27d4eb4f) + 1;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* ---- the table ---- */

static bool fails(struct crashdisk *d, enum disk_call call)
{
	const struct disk_fault *f = &d->fault;

	if (!f->n || !(f->calls & (unsigned)call))
		return false;
	d->met++;
	if (d->met != f->n && !(f->for_ever && d->met > f->n))
		return false;
	d->failed = true;
	d->failed_in_place |= call != CALL_PWRITE && call != CALL_FALLOCATE &&
			      call != CALL_PUNCH;
	errno = f->err;
	return true;
}

bool crashdisk_memory_fails(struct crashdisk *d)
{
	return fails(d, CALL_MALLOC);
}

static void note(struct crashdisk *d, enum disk_op_kind kind, uint64_t pos,
		 const void *data, size_t len)
{
	struct disk_op op = { .kind = kind, .pos = pos, .len = len };

	if (d->n == d->room) {
		d->room = d->room ? 2 * d->room : 64;
		d->op = need(realloc(d->op, d->room * sizeof(*d->op)));
	}
	if (len)
		op.data = memcpy(need(malloc(len)), data, len);
	d->op[d->n++] = op;
}

static bool at_end(int fd, off_t pos)
{
	struct stat st;

	return fstat(fd, &st) == 0 && pos >= st.st_size;
}

static ssize_t disk_pwrite(void *arg, int fd, const void *buf, size_t len,
			   off_t pos)
{
	struct crashdisk *d = arg;
	ssize_t n;

	if (fails(d, CALL_PWRITE)) {
		d->failed_in_place |= !at_end(fd, pos);
		if (d->fault.err)
			return -1;
		/* Not within a sector: a write there is atomic. */
		len = len > 2 * SECTOR ? len / 2 : len;
	}
	n = pwrite(fd, buf, len, pos);
	if (n > 0)
		note(d, DISK_WRITE, (uint64_t)pos, buf, (size_t)n);
	return n;
}

static int disk_ftruncate(void *arg, int fd, off_t len)
{
	struct crashdisk *d = arg;
	int rc;

	if (fails(d, CALL_FTRUNCATE))
		return -1;
	rc = ftruncate(fd, len);
	if (rc == 0)
		note(d, DISK_RESIZE, (uint64_t)len, NULL, 0);
	return rc;
}

/* As a write of zeros: a hole may come to the disk in parts, too. */
static int punch(struct crashdisk *d, int fd, int mode, off_t pos, off_t len)
{
	uint8_t *zeros;

	if (fails(d, CALL_PUNCH) || fallocate(fd, mode, pos, len) < 0)
		return -1;
	zeros = need(calloc(1, (size_t)len));
	note(d, DISK_WRITE, (uint64_t)pos, zeros, (size_t)len);
	free(zeros);
	d->holes++;
	return 0;
}

/* Without a hole the size stays as it is, so there is nothing to be done. */
static int disk_fallocate(void *arg, int fd, int mode, off_t pos, off_t len)
{
	struct crashdisk *d = arg;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		return punch(d, fd, mode, pos, len);
	if (fails(d, CALL_FALLOCATE))
		return -1;
	d->reserves++;
	return 0;
}

/* An interrupted one has not lost a page. */
static void note_failed_sync(struct crashdisk *d)
{
	if (d->fault.err != EINTR)
		note(d, DISK_SYNC_FAILED, 0, NULL, 0);
}

static int disk_fdatasync(void *arg, int fd)
{
	struct crashdisk *d = arg;

	(void)fd;
	if (fails(d, CALL_FDATASYNC)) {
		note_failed_sync(d);
		return -1;
	}
	note(d, DISK_SYNC, 0, NULL, 0);
	return 0;
}

static int disk_sync_range(void *arg, void *at, size_t len, off_t pos)
{
	struct crashdisk *d = arg;

	(void)at;
	if (fails(d, CALL_FDATASYNC)) {
		note_failed_sync(d);
		return -1;
	}
	note(d, DISK_SYNC_RANGE, (uint64_t)pos, NULL, 0);
	d->op[d->n - 1].to = (uint64_t)pos + len;
	return 0;
}

static int disk_fstat(void *arg, int fd, struct stat *st)
{
	if (fails(arg, CALL_FSTAT))
		return -1;
	return fstat(fd, st);
}

static void *disk_mmap(void *arg, size_t len, int fd)
{
	if (fails(arg, CALL_MMAP))
		return MAP_FAILED;
	return mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
}

/* ---- the disk ---- */

void crashdisk_init(struct crashdisk *d, const uint8_t *image, size_t len)
{
	*d = (struct crashdisk){
		.table = { .pwrite = disk_pwrite,
			   .ftruncate = disk_ftruncate,
			   .fallocate = disk_fallocate,
			   .fdatasync = disk_fdatasync,
			   .sync_range = disk_sync_range,
			   .fstat = disk_fstat,
			   .mmap = disk_mmap,
			   .arg = d },
		.fd = memfd_create("crashdisk", MFD_CLOEXEC),
		.base = memcpy(need(malloc(len + 1)), image, len),
		.base_len = len,
	};
	if (d->fd < 0 || pwrite(d->fd, image, len, 0) != (ssize_t)len) {
		perror("memory file");
		abort();
	}
}

void crashdisk_release(struct crashdisk *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->op[i].data);
	free(d->op);
	free(d->base);
	free(d->durable);
	close(d->fd);
}

int crashdisk_fd(const struct crashdisk *d)
{
	return dup(d->fd);
}

uint8_t *crashdisk_now(const struct crashdisk *d, size_t *ret_len)
{
	struct stat st;
	uint8_t *bytes;

	if (fstat(d->fd, &st) < 0)
		abort();
	bytes = need(malloc((size_t)st.st_size + 1));
	if (pread(d->fd, bytes, (size_t)st.st_size, 0) != st.st_size)
		abort();
	*ret_len = (size_t)st.st_size;
	return bytes;
}

/* ---- what a cut leaves ---- */

/* An image that is being built: bytes behind size may hold what was written
 * there, for a size that comes later. */
struct image {
	uint8_t *bytes;
	size_t size, room;
};

static void room_for(struct image *im, size_t to)
{
	size_t room = im->room;

	if (to <= room)
		return;
	while (room < to)
		room = room ? 2 * room : 65536;
	im->bytes = need(realloc(im->bytes, room));
	memset(im->bytes + im->room, 0, room - im->room);
	im->room = room;
}

/* The part of a call that takes place in one sector. */
static void do_sector(struct image *im, const struct disk_op *op,
		      uint64_t sector)
{
	uint64_t from = sector * SECTOR, to = from + SECTOR;

	if (from < op->pos)
		from = op->pos;
	if (op->kind == DISK_RESIZE) {
		memset(im->bytes + from, 0, to - from);
		return;
	}
	to = min_u64(to, op->pos + op->len);
	memcpy(im->bytes + from, op->data + (from - op->pos), to - from);
}

/* The sectors that a call changes: up to *ret_to. */
static uint64_t sectors_of(struct image *im, const struct disk_op *op,
			   uint64_t *ret_to)
{
	uint64_t end = im->room;

	if (op->kind == DISK_WRITE) {
		end = op->pos + op->len;
		room_for(im, (size_t)(end + SECTOR));
	}
	*ret_to = (end + SECTOR - 1) / SECTOR;
	return op->pos / SECTOR;
}

static void do_size(struct image *im, const struct disk_op *op)
{
	if (op->kind == DISK_RESIZE)
		im->size = op->pos;
	else if (op->pos + op->len > im->size)
		im->size = op->pos + op->len;
}

static bool dirty_bytes(const struct disk_op *op)
{
	return op->kind == DISK_WRITE || op->kind == DISK_RESIZE;
}

static void do_whole(struct image *im, const struct disk_op *op)
{
	uint64_t to, s;

	if (!dirty_bytes(op))
		return;
	for (s = sectors_of(im, op, &to); s < to; s++)
		do_sector(im, op, s);
	room_for(im, (size_t)(op->pos + op->len));
	do_size(im, op);
}

/* The calls between two that are not durable, and how they end. */
struct window {
	const struct cut *cut;
	size_t from, n;
	uint64_t moment; /* of the prefix; of the size */
};

static bool keeps_sector(const struct window *w, size_t i, uint64_t sector)
{
	uint64_t seed = w->cut->seed;

	i -= w->from;
	switch (w->cut->how) {
	case CUT_NONE:
	case CUT_HOWS:
		return false;
	case CUT_ALL:
		return true;
	case CUT_PREFIX:
		return i < w->moment ||
		       (i == w->moment && crash_mix(seed, 1, sector) % 2);
	case CUT_SECTORS:
		return i < crash_mix(seed, 2, sector) % (w->n + 1);
	case CUT_PAGES:
		return i <
		       crash_mix(seed, 3, sector * SECTOR / PAGE) % (w->n + 1);
	case CUT_SUBSET:
		switch (crash_mix(seed, 4, i) % 4) {
		case 0:
			return false;
		case 1:
			return crash_mix(seed, 5 + i, sector) % 2;
		default:
			return true;
		}
	}
	return false;
}

static bool keeps_size(const struct window *w, size_t i)
{
	if (w->cut->how == CUT_NONE)
		return false;
	return w->cut->how == CUT_ALL || i - w->from <= w->moment;
}

/* Whether a later fdatasync covers call i. */
static bool covered(const struct crashdisk *d, size_t i, size_t at)
{
	for (; i < at; i++) {
		if (d->op[i].kind == DISK_SYNC)
			return true;
		if (d->op[i].kind == DISK_SYNC_FAILED)
			return false;
	}
	return false;
}

/* The same for bytes of it: they lie in a range, or are all covered.  Changes
 * of size take effect in their order, before what is synced behind them. */
static bool covered_range(const struct crashdisk *d, size_t i, size_t at,
			  uint64_t from, uint64_t to)
{
	for (; i < at; i++) {
		const struct disk_op *op = &d->op[i];

		if (op->kind == DISK_SYNC || (op->kind == DISK_SYNC_RANGE &&
					      from >= op->pos && to <= op->to))
			return true;
		if (op->kind == DISK_SYNC_RANGE && from == to)
			return true;
		if (op->kind == DISK_SYNC_FAILED)
			return false;
	}
	return false;
}

/* Of a sector, the part that a write changes counts; that the file reaches to
 * the end of a write is covered with its last bytes. */
static void do_part(const struct crashdisk *d, struct image *im, size_t i,
		    const struct window *w)
{
	const struct disk_op *op = &d->op[i];
	uint64_t end = op->pos + op->len, to, s;

	if (op->kind == DISK_RESIZE &&
	    covered_range(d, i, w->cut->at, op->pos, op->pos)) {
		do_whole(im, op);
		return;
	}
	for (s = sectors_of(im, op, &to); s < to; s++)
		if (keeps_sector(w, i, s) ||
		    (op->kind == DISK_WRITE &&
		     covered_range(d, i, w->cut->at,
				   max_u64(op->pos, s * SECTOR),
				   min_u64(end, (s + 1) * SECTOR))))
			do_sector(im, op, s);
	if (keeps_size(w, i) || (op->kind == DISK_WRITE &&
				 covered_range(d, i, w->cut->at, end - 1, end)))
		do_size(im, op);
}

/* Brings d->durable up to the last call before at that is followed by nothing
 * but what is open. */
static void advance(struct crashdisk *d, size_t at)
{
	struct image im;

	if (!d->durable || d->durable_at > at) {
		free(d->durable);
		d->durable_room = (d->base_len + PAGE) / PAGE * PAGE;
		d->durable = memcpy(need(calloc(1, d->durable_room)), d->base,
				    d->base_len);
		d->durable_len = d->base_len;
		d->durable_at = 0;
	}
	im = (struct image){ d->durable, d->durable_len, d->durable_room };
	while (d->durable_at < at && covered(d, d->durable_at, at)) {
		do_whole(&im, &d->op[d->durable_at]);
		d->durable_at++;
	}
	d->durable = im.bytes;
	d->durable_len = im.size;
	d->durable_room = im.room;
}

uint8_t *crashdisk_image(struct crashdisk *d, const struct cut *cut,
			 size_t *ret_len)
{
	struct window w = { .cut = cut };
	struct image im;

	advance(d, cut->at);
	im = (struct image){ need(malloc(d->durable_room)), d->durable_len,
			     d->durable_room };
	memcpy(im.bytes, d->durable, d->durable_room);
	w.from = d->durable_at;
	w.n = cut->at - w.from;
	w.moment = crash_mix(cut->seed, 6, 0) % (w.n + 1);
	for (size_t i = w.from; i < cut->at; i++) {
		if (!dirty_bytes(&d->op[i]))
			continue;
		if (covered(d, i, cut->at))
			do_whole(&im, &d->op[i]);
		else
			do_part(d, &im, i, &w);
	}
	room_for(&im, im.size);
	*ret_len = im.size;
	return im.bytes;
}

void crashdisk_kill(struct crashdisk *d, size_t at, struct crashdisk *ret)
{
	struct cut all = { .at = at, .how = CUT_ALL };
	size_t len;
	uint8_t *image = crashdisk_image(d, &all, &len);

	crashdisk_init(ret, image, len);
	free(image);
	free(ret->base);
	ret->base = memcpy(need(malloc(d->durable_len + 1)), d->durable,
			   d->durable_len);
	ret->base_len = d->durable_len;
	for (size_t i = d->durable_at; i < at; i++) {
		note(ret, d->op[i].kind, d->op[i].pos, d->op[i].data,
		     d->op[i].len);
		ret->op[ret->n - 1].to = d->op[i].to;
	}
}
