/* tool_run.c - another program, run to its end. */
#include "tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
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
