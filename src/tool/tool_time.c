/* tool_time.c - timestamps as people write them. */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MAX_TIME ((INT64_C(1) << 56) - 1) /* seven bytes of microseconds */

/* Seconds and microseconds below one second, as one time. */
static int in_range(int64_t seconds, int64_t us, int64_t *ret)
{
	if (seconds < 0 || seconds > MAX_TIME / SECOND ||
	    seconds * SECOND + us > MAX_TIME)
		return -EINVAL;
	*ret = seconds * SECOND + us;
	return 0;
}

const char *time_text(int64_t us, char buf[TIME_BUF])
{
	time_t seconds = us / SECOND;
	struct tm tm;
	size_t len;

	if (us < 0 || !gmtime_r(&seconds, &tm))
		return "-";
	len = strftime(buf, TIME_BUF - 16, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, 16, ".%06uZ", (unsigned)(us % SECOND) % 1000000);
	return buf;
}

/* Exactly n digits, or one or more where n is 0, at *s; moves it on. */
static bool digits(const char **s, int n, int64_t *ret)
{
	int64_t v = 0;
	int i;

	for (i = 0; **s >= '0' && **s <= '9' && (!n || i < n); i++, ++*s) {
		if (v > INT64_MAX / 10 - 1)
			return false;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return n ? i == n : i > 0;
}

/* ".25" as microseconds; what is finer is dropped. */
static bool fraction(const char **s, int64_t *ret)
{
	int64_t v = 0, unit = SECOND / 10;

	*ret = 0;
	if (**s != '.')
		return true;
	++*s;
	if (**s < '0' || **s > '9')
		return false;
	for (; **s >= '0' && **s <= '9'; ++*s, unit /= 10)
		v += (**s - '0') * unit;
	*ret = v;
	return true;
}

static bool skip(const char **s, const char *any)
{
	if (!**s || !strchr(any, **s))
		return false;
	++*s;
	return true;
}

/* What stands behind the minutes: seconds, fraction. */
static bool parse_clock(const char **s, struct tm *tm, int64_t *us)
{
	int64_t hour, minute, second = 0;

	if (!digits(s, 2, &hour) || !skip(s, ":") || !digits(s, 2, &minute))
		return false;
	if (skip(s, ":") && (!digits(s, 2, &second) || !fraction(s, us)))
		return false;
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	tm->tm_hour = (int)hour;
	tm->tm_min = (int)minute;
	tm->tm_sec = (int)second;
	return true;
}

static bool parse_zone(const char **s, int64_t *ret_seconds)
{
	bool west = **s == '-';
	int64_t hour, minute;

	*ret_seconds = 0;
	if (!**s || skip(s, "Zz"))
		return true;
	if (!skip(s, "+-") || !digits(s, 2, &hour))
		return false;
	skip(s, ":");
	if (!digits(s, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ret_seconds = (hour * 3600 + minute * 60) * (west ? -1 : 1);
	return true;
}

static int parse_date(const char *s, int64_t *ret)
{
	int64_t year, month, day, us = 0, zone, seconds;
	struct tm tm = { 0 }, asked;

	if (!digits(&s, 4, &year) || !skip(&s, "-") || !digits(&s, 2, &month) ||
	    !skip(&s, "-") || !digits(&s, 2, &day))
		return -EINVAL;
	if (skip(&s, "Tt ") && !parse_clock(&s, &tm, &us))
		return -EINVAL;
	if (!parse_zone(&s, &zone) || *s)
		return -EINVAL;
	tm.tm_year = (int)year - 1900;
	tm.tm_mon = (int)month - 1;
	tm.tm_mday = (int)day;
	asked = tm;
	seconds = timegm(&tm) - zone;
	/* A day that does not exist comes back as another; so may a leap
	 * second, rightly. */
	if (asked.tm_sec != 60 &&
	    (tm.tm_mday != asked.tm_mday || tm.tm_mon != asked.tm_mon))
		return -EINVAL;
	return in_range(seconds, us, ret);
}

/* ---- before now ---- */

static const struct {
	const char *name;
	int64_t us;
} units[] = {
	{ "s", SECOND },
	{ "sec", SECOND },
	{ "second", SECOND },
	{ "min", MINUTE },
	{ "minute", MINUTE },
	{ "m", MINUTE },
	{ "h", HOUR },
	{ "hr", HOUR },
	{ "hour", HOUR },
	{ "d", DAY },
	{ "day", DAY },
	{ "w", 7 * DAY },
	{ "week", 7 * DAY },
	{ "M", 30 * DAY + 10 * HOUR + 30 * MINUTE },
	{ "month", 30 * DAY + 10 * HOUR + 30 * MINUTE },
	{ "y", 365 * DAY + 6 * HOUR },
	{ "year", 365 * DAY + 6 * HOUR },
};

/* A unit, as one or as several. */
static bool unit(const char **s, int64_t *ret)
{
	size_t len = strspn(*s, "abcdefghijklmnopqrstuvwxyzM");
	size_t one = len > 3 && (*s)[len - 1] == 's' ? len - 1 : len;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) == one &&
		    !strncmp(*s, units[i].name, one)) {
			*s += len;
			*ret = units[i].us;
			return true;
		}
	}
	return false;
}

/* "2 days ago", "1h 30min ago", "-2d", as systemd.time(7) has them. */
static int parse_ago(const char *s, int64_t *ret)
{
	bool minus = skip(&s, "-");
	int64_t span = 0, n, us, now = now_us();

	while (*s && strcmp(s, "ago") != 0) {
		if (!digits(&s, 0, &n))
			return -EINVAL;
		s += strspn(s, " ");
		if (!unit(&s, &us) || n > MAX_TIME / us)
			return -EINVAL;
		s += strspn(s, " ");
		span += n * us;
		if (span > now)
			return -EINVAL;
	}
	if (!span || minus == (*s != '\0'))
		return -EINVAL;
	return in_range((now - span) / SECOND, (now - span) % SECOND, ret);
}

static bool is_ago(const char *text)
{
	return text[0] == '-' || strstr(text, " ago");
}

bool time_is_relative(const char *text)
{
	return !strcmp(text, "now") || !strcmp(text, "today") ||
	       !strcmp(text, "yesterday") || is_ago(text);
}

int time_parse(const char *text, int64_t *ret)
{
	const char *s = text;
	int64_t v, us;

	if (!strcmp(text, "now")) {
		*ret = BLT_NOW;
		return 0;
	}
	if (!strcmp(text, "today") || !strcmp(text, "yesterday")) {
		v = now_us() / DAY * DAY - (*text == 'y' ? DAY : 0);
		return in_range(v / SECOND, 0, ret);
	}
	if (is_ago(text))
		return parse_ago(text, ret);
	if (strchr(text, '-'))
		return parse_date(text, ret);
	if (skip(&s, "@")) {
		if (!digits(&s, 0, &v) || !fraction(&s, &us) || *s)
			return -EINVAL;
		return in_range(v, us, ret);
	}
	if (!digits(&s, 0, &v) || *s)
		return -EINVAL;
	return in_range(v / SECOND, v % SECOND, ret);
}
