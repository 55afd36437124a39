#include "engine/build_facts.h"

#include "blt.h"

#include "config.h"

#ifdef __clang__
#define COMPILER __VERSION__ /* has the name in it */
#else
#define COMPILER "gcc " __VERSION__
#endif

void build_facts_print(FILE *to, const char *program, const char *libfuse)
{
	const char *engine;

	fprintf(to, "%s %s", program, PACKAGE_VERSION);
	if (libfuse)
		fprintf(to, " (libfuse %s)", libfuse);
	fputs("\nengines  ", to);
	for (unsigned i = 0; (engine = blt_engine_name(i)); i++)
		fprintf(to, "%s %s", i ? "," : "", engine);
	fprintf(to, "\nlibfuse   %s at build time\ncompiler  %s\n",
		LIBFUSE_VERSION, COMPILER);
}
