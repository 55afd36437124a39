#include "main/ready.h"

#include "main/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
