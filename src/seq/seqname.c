/* seqname.c - see seqname.h
 *
 * Counted names stand on one line of numbers: "i0" is 0, "iz" 35, "j00" 36;
 * "hz" is -1, "h0" -36, "gzz" -37.  Their order as bytes is that of the
 * numbers.
 *
 * Between two neighbours, a window of some digits behind what they begin with
 * in common is taken as a number to the base of 36: of the lower one, the
 * greatest that no name behind the neighbour is below; of the upper one, the
 * least that all are below.  A character that is no digit lies between two of
 * them, or beyond them all.
 */
#include "seq/seqname.h"

#include "base/util.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define BASE 36
#define WINDOW_MAX 24 /* 36^24 < 2^125 */
#define HEADS 18      /* letters that count up, and as many that count down */

static const char digit[BASE + 1] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* How many digits are below a byte; *ret_is: whether it is the next one. */
static unsigned digits_below(uint8_t c, bool *ret_is)
{
	*ret_is = true;
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10u;
	*ret_is = false;
	return c < '0' ? 0 : c < 'a' ? 10 : BASE;
}

static __int128 power(size_t n)
{
	__int128 v = 1;

	while (n-- > 0)
		v *= BASE;
	return v;
}

/* The first k digits of bytes as a number.  below: the greatest whose digits,
 * as a name, are not above the bytes, but for *ret_short: the bytes end first,
 * or stand in front of all digits, and even zeros behind them are above.  Else:
 * the least whose digits are not below the bytes. */
static __int128 window(const uint8_t *bytes, size_t len, size_t k, bool below,
		       bool *ret_short)
{
	__int128 v = 0;
	size_t i;

	*ret_short = false;
	for (i = 0; i < k && i < len; i++) {
		bool is;
		unsigned d = digits_below(bytes[i], &is);

		if (!is) {
			v = (v * BASE + d) * power(k - i - 1);
			*ret_short = below && d == 0;
			return below && d > 0 ? v - 1 : v;
		}
		v = v * BASE + d;
	}
	*ret_short = i < k;
	return v * power(k - i);
}

static void write_digits(__int128 v, size_t k, char *ret)
{
	for (; k > 0; v /= BASE)
		ret[--k] = digit[v % BASE];
}

/* ---- counted names ---- */

static size_t head_digits(unsigned head)
{
	return head < HEADS ? HEADS - head : head - HEADS + 1;
}

/* The number of the first name that begins with a head. */
static __int128 head_first(unsigned head)
{
	__int128 v = 0, step = BASE;

	for (unsigned h = HEADS; h < head; h++, step *= BASE)
		v += step;
	for (unsigned h = HEADS; h-- > head; step *= BASE)
		v -= step;
	return v;
}

/* The head of a number's name, and the first number of that. */
static unsigned head_of(__int128 v, __int128 *ret_first)
{
	unsigned head = HEADS;
	__int128 first = 0, step = BASE;

	for (; v >= first + step && head + 1 < 2 * HEADS; step *= BASE) {
		first += step;
		head++;
	}
	for (; v < first && head > 0; step *= BASE) {
		first -= step;
		head--;
	}
	*ret_first = first;
	return head;
}

/* The greatest number whose name is not above this one, which may be less than
 * any that has a name. */
static __int128 count_floor(const struct seqname *name)
{
	bool is, ends;
	unsigned head = digits_below(name->bytes[0], &is);
	__int128 v;

	if (!is)
		return head_first(head) - 1;
	v = window(name->bytes + 1, name->len - 1, head_digits(head), true,
		   &ends);
	return head_first(head) + v - ends;
}

static size_t write_count(__int128 v, char ret[SEQNAME_BUF])
{
	__int128 first;
	unsigned head = head_of(v, &first);
	size_t k = head_digits(head);

	ret[0] = digit[head];
	write_digits(v - first, k, ret + 1);
	ret[k + 1] = '\0';
	return k + 1;
}

/* The greatest number whose name is below this one. */
static __int128 count_below(const struct seqname *name)
{
	__int128 v = count_floor(name);
	char floor[SEQNAME_BUF];
	size_t len;

	if (v < head_first(0))
		return v;
	len = write_count(v, floor);
	return len == name->len && memcmp(floor, name->bytes, len) == 0 ?
		       v - 1 :
		       v;
}

/* ---- runs ---- */

/* One number after the other, from the first on. */
static int begin_count(struct seqname_run *run, __int128 first, uint64_t n)
{
	if (first < head_first(0) || first + n > head_first(2 * HEADS))
		return -ERANGE;
	*run = (struct seqname_run){ .at = first - 1, .step = 1, .n = n };
	return 0;
}

/* Spread over the numbers between two, both left out. */
static int begin_spread(struct seqname_run *run, const struct seqname *prefix,
			size_t prefix_len, uint64_t n, size_t digits,
			__int128 low, __int128 high)
{
	if (high - low <= n)
		return -ERANGE;
	*run = (struct seqname_run){
		.prefix = prefix,
		.prefix_len = prefix_len,
		.digits = digits,
		.at = low,
		.step = (high - low) / ((__int128)n + 1),
		.rest = (uint64_t)((high - low) % ((__int128)n + 1)),
		.n = n,
	};
	return 0;
}

static int begin_between(struct seqname_run *run, const struct seqname *a,
			 const struct seqname *b, uint64_t n)
{
	size_t p = 0, least = min_u64(a->len, b->len);
	int rc = -ERANGE;
	bool ends;

	while (p < least && a->bytes[p] == b->bytes[p])
		p++;
	for (size_t k = 1; rc < 0 && k <= WINDOW_MAX && p + k <= SEQNAME_MAX;
	     k++)
		rc = begin_spread(
			run, a, p, n, k,
			window(a->bytes + p, a->len - p, k, true, &ends),
			window(b->bytes + p, b->len - p, k, false, &ends));
	/* what begins with all of a is above a, and below b where that does
	 * not begin so, too */
	if (p == a->len)
		return rc;
	for (size_t k = 1;
	     rc < 0 && k <= WINDOW_MAX && a->len + k <= SEQNAME_MAX; k++)
		rc = begin_spread(run, a, a->len, n, k, 0, power(k));
	return rc;
}

int seqname_begin(struct seqname_run *run, const struct seqname *before,
		  const struct seqname *after, uint64_t n)
{
	if (before->bytes && after->bytes) {
		if (compare_bytes(before->bytes, before->len, after->bytes,
				  after->len) >= 0)
			return -EINVAL;
		return begin_between(run, before, after, n);
	}
	if (before->bytes)
		return begin_count(run, count_floor(before) + 1, n);
	if (after->bytes)
		return begin_count(run, count_below(after) + 1 - (__int128)n,
				   n);
	return begin_count(run, 0, n);
}

size_t seqname_longest(const struct seqname_run *run)
{
	char first[SEQNAME_BUF], last[SEQNAME_BUF];
	size_t a, b;

	if (run->prefix)
		return run->prefix_len + run->digits;
	a = write_count(run->at + 1, first);
	b = write_count(run->at + run->n, last);
	return a > b ? a : b;
}

size_t seqname_next(struct seqname_run *run, char ret[SEQNAME_BUF])
{
	size_t len;

	run->at += run->step;
	if (!run->prefix)
		return write_count(run->at, ret);
	run->over += run->rest;
	if (run->over > run->n) {
		run->over -= run->n + 1;
		run->at++;
	}
	len = run->prefix_len + run->digits;
	memcpy(ret, run->prefix->bytes, run->prefix_len);
	write_digits(run->at, run->digits, ret + run->prefix_len);
	while (ret[len - 1] == '0')
		len--;
	ret[len] = '\0';
	return len;
}
