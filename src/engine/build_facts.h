/* build_facts.h - how the programs were built, for --version and reports.
 *
 * Constants of the build, the same for each process; any thread.
 */
#ifndef BLT_BUILD_FACTS_H
#define BLT_BUILD_FACTS_H

#include <stdio.h>

/* "PROGRAM VERSION (libfuse VERSION)", and a line for each fact.  libfuse: the
 * version in use; NULL: none is. */
void build_facts_print(FILE *to, const char *program, const char *libfuse);

#endif
