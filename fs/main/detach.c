#include "main/daemon.h"

#include "main/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* Waits until the child is live or has failed. */
static int await_child(pid_t child, int from)
{
	ssize_t got;
	int status;
	char word;

	do
		got = read(from, &word, 1);
	while (got < 0 && errno == EINTR);
	if (got == 1)
		return 0;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return EX_OSERR;
	}
	if (WIFSIGNALED(status))
		log_error(
			"the daemon died of signal %d before the mount was live",
			WTERMSIG(status));
	else if (WEXITSTATUS(status) == 0)
		log_error("the daemon was stopped before the mount was live");
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) :
							  EX_SOFTWARE;
}

int detach_begin(int *ret_parent)
{
	int pipe_fd[2];
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0) {
		log_error("cannot start the daemon: %s", strerror(errno));
		return EX_OSERR;
	}
	pid = fork();
	if (pid < 0) {
		log_error("cannot start the daemon: %s", strerror(errno));
		return EX_OSERR;
	}
	if (pid > 0) {
		close(pipe_fd[1]);
		return await_child(pid, pipe_fd[0]);
	}
	close(pipe_fd[0]);
	setsid();
	*ret_parent = pipe_fd[1];
	return -1;
}

int detach_end(int *parent)
{
	ssize_t told;
	int null;

	if (*parent < 0)
		return 0;
	log_detach();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		close(null);
	}
	if (chdir("/") < 0)
		log_warn(
			"cannot leave the directory the daemon was started in: %s",
			strerror(errno));
	do
		told = write(*parent, "", 1);
	while (told < 0 && errno == EINTR);
	close(*parent);
	*parent = -1;
	return told < 0 ? -EPIPE : 0;
}

static int send_to(const char *path, const char *text)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	ssize_t sent;
	int fd;

	if (len >= sizeof(to.sun_path) || (*path != '/' && *path != '@'))
		return -EINVAL;
	memcpy(to.sun_path, path, len);
	if (*path == '@') /* an abstract name */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	len += offsetof(struct sockaddr_un, sun_path);
	sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL,
		      (struct sockaddr *)&to, (socklen_t)len);
	len = sent < 0 ? (size_t)errno : 0;
	close(fd);
	return -(int)len;
}

void ready_tell(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	char text[128];
	int rc;

	if (!path || !*path)
		return;
	snprintf(text, sizeof(text), "MAINPID=%ld\n%s\n", (long)getpid(),
		 state);
	rc = send_to(path, text);
	if (rc < 0)
		log_warn("systemd could not be told %s: %s", state,
			 strerror(-rc));
}
