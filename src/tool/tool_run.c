/* tool_run.c - other programs: found, and run to their end. */
#include "tool/tool.h"
#include "tool/tool_system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What comes until the end, of which the first line is kept. */
static void read_line(int fd, char *said, size_t len)
{
	char rest[256];
	size_t at = 0;
	ssize_t n;

	while (at + 1 < len && ((n = read(fd, said + at, len - 1 - at)) > 0 ||
				(n < 0 && errno == EINTR)))
		at += n > 0 ? (size_t)n : 0;
	said[at] = '\0';
	said[strcspn(said, "\n")] = '\0';
	while ((n = read(fd, rest, sizeof(rest))) > 0 ||
	       (n < 0 && errno == EINTR))
		;
}

int tool_run(char *const argv[], char *said, size_t len)
{
	posix_spawn_file_actions_t actions;
	int pipe_fds[2], status = 0, r;
	pid_t pid;

	said[0] = '\0';
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	r = -posix_spawn_file_actions_init(&actions);
	if (!r) {
		posix_spawn_file_actions_adddup2(&actions, pipe_fds[1],
						 STDOUT_FILENO);
		posix_spawn_file_actions_adddup2(&actions, pipe_fds[1],
						 STDERR_FILENO);
		r = -posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(pipe_fds[1]);
	if (!r)
		read_line(pipe_fds[0], said, len);
	close(pipe_fds[0]);
	if (r)
		return r;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

bool tool_find_program(const char *name, char *path, struct stat *st)
{
	const char *dirs = getenv("PATH");

	for (; dirs && *dirs;
	     dirs += strcspn(dirs, ":"), dirs += *dirs == ':') {
		if (snprintf(path, PATH_MAX, "%.*s/%s", (int)strcspn(dirs, ":"),
			     dirs, name) < PATH_MAX &&
		    !stat(path, st) && S_ISREG(st->st_mode) &&
		    !access(path, X_OK))
			return true;
	}
	return false;
}

/* The one beside this program first: they belong together. */
bool tool_find_daemon(char *path)
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	struct stat st;
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash && (size_t)(slash - path) + 7 < PATH_MAX) {
			strcpy(slash + 1, "bltfs");
			if (!access(path, X_OK))
				return true;
		}
	}
	return tool_find_program("bltfs", path, &st);
}
