/* checked.h - libcheck, for tests that make a million assertions.
 *
 * libcheck notes each assertion that holds in a pipe, to name the last one
 * where a test dies of a signal.  That took most of the time of tests of trees,
 * listings and models; here one that holds costs nothing.
 */
#ifndef TESTS_CHECKED_H
#define TESTS_CHECKED_H

#include <check.h>

#undef ck_assert_msg
#define ck_assert_msg(expr, ...)                                    \
	((expr) ? (void)0 :                                         \
		  _ck_assert_failed(__FILE__, __LINE__,             \
				    "Assertion '" #expr "' failed", \
				    ##__VA_ARGS__))

#endif
