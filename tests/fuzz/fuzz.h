/* fuzz.h - what the fuzzers share: a store in a memory file, and checksums that
 * fit, since no fuzzer comes upon one.
 *
 * A fuzzer includes this once; it brings the mutator with it.
 */
#ifndef BLT_FUZZ_H
#define BLT_FUZZ_H

#include "booklet/log/commitlog.h"
#include "booklet/io/file.h"
#include "booklet/format/format.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
			       unsigned seed);

/* A memory file of these bytes. */
static inline int fuzz_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	while (fd >= 0 && size) {
		ssize_t n = write(fd, data, size);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		data += n;
		size -= (size_t)n;
	}
	return fd;
}

/* The engine asks for room that a file may grow into, terabytes of it, which
 * takes the sanitizer long; it makes do with less. */
static inline void *fuzz_mmap(void *arg, size_t len, int fd)
{
	if (len > (size_t)1 << 28) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return file_system_ops.mmap(arg, len, fd);
}

/* A memory file takes megabytes at once if it is asked to. */
static inline int fuzz_fallocate(void *arg, int fd, int mode, off_t pos,
				 off_t len)
{
	(void)arg, (void)fd, (void)mode, (void)pos, (void)len;
	return 0;
}

static inline struct file_ops fuzz_ops(void)
{
	struct file_ops ops = file_system_ops;

	ops.mmap = fuzz_mmap;
	ops.fallocate = fuzz_fallocate;
	return ops;
}

/* The record in a block, if it is one, gets the sum of its batch; where the
 * next batch begins. */
static size_t fuzz_seal_batch(const struct format *f, uint8_t *data,
			      size_t size, size_t at)
{
	uint32_t head_len = format_head_len(f);
	struct block_head head;
	struct log_record record;
	uint8_t masked[FORMAT_HEAD_MAX];
	XXH3_state_t *sum = XXH3_createState();

	XXH3_64bits_reset(sum);
	for (; at + head_len <= size; at += format_block_len(f, &head)) {
		uint8_t *payload = data + at + head_len;
		size_t len;

		format_head_decode(f, data + at, &head);
		len = (size_t)head.key_len + head.value_len;
		if (len > size - at - head_len)
			break;
		if (log_record_decode(payload, len, &record) &&
		    record.payload_len <= len) {
			log_payload_set_sum(payload, 0);
			XXH3_64bits_update(sum, payload, record.payload_len);
			log_payload_set_sum(payload, XXH3_64bits_digest(sum));
			XXH3_freeState(sum);
			return at + head_len + len;
		}
		memcpy(masked, data + at, head_len);
		log_mask_head(f, masked);
		XXH3_64bits_update(sum, masked, head_len);
		XXH3_64bits_update(sum, payload, len);
	}
	XXH3_freeState(sum);
	return size;
}

/* Where the header says that the file is unclean, slots and records get sums
 * that fit. */
static void fuzz_seal(uint8_t *data, size_t size)
{
	uint8_t plain[FORMAT_HEADER_LEN];
	struct log_checkpoint slot;
	struct format f;

	if (size < FORMAT_HEADER_LEN || get_le(data + FORMAT_AT_VERSION, 2))
		return;
	for (int i = 0; i < 2; i++) {
		uint8_t *at = data + LOG_CHECKPOINT_AT + i * LOG_CHECKPOINT_LEN;

		put_le(at, XXH3_64bits(at + 8, LOG_CHECKPOINT_LEN - 8), 8);
	}
	if (log_checkpoint_newest(data, &slot) < 0)
		return;
	memcpy(plain, data, sizeof(plain));
	put_le(plain + FORMAT_AT_VERSION, FORMAT_VERSION, 2);
	if (format_decode(plain, size, &f) != FORMAT_OK)
		return;
	for (size_t at = slot.start; at < size;)
		at = fuzz_seal_batch(&f, data, size, at);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max,
			       unsigned seed)
{
	size = LLVMFuzzerMutate(data, size, max);
	/* Wrong sums are worth a try too. */
	if (seed % 8)
		fuzz_seal(data, size);
	return size;
}

#endif
