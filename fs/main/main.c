#include "main/daemon.h"

#include "engine/build_facts.h"
#include "main/log.h"
#include "main/options.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* mount(8) alone asks for a remount, and has codes of its own. */
#define MOUNT_FAILURE 32

static int finish_output(void)
{
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* A standard descriptor that is closed would be given to the next file that is
 * opened, and then taken by what we print, or by the daemon's /dev/null. */
static int hold_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct options_error err = { "" };
	struct options opts;
	int rc;

	if (hold_standard_files() < 0)
		return EX_OSERR;
	if (argc > 2 && !strcmp(argv[1], "--complete")) {
		options_complete(stdout, argv + 3, argc - 3);
		return finish_output();
	}
	rc = options_parse(&opts, argc, argv, &err);
	if (rc < 0) {
		fprintf(stderr, "bltfs: %s\n", err.text);
		return rc == -ENOMEM ? EX_OSERR :
		       rc == -EBUSY  ? MOUNT_FAILURE :
				       EX_USAGE;
	}
	log_start(opts.debug, opts.log && !strcmp(opts.log, "json"));
	if (opts.help) {
		options_help(stdout);
		rc = finish_output();
	} else if (opts.version) {
		build_facts_print(stdout, "bltfs", fuse_pkgversion());
		rc = finish_output();
	} else {
		rc = mount_run(&opts);
	}
	options_release(&opts);
	log_end();
	return rc;
}
