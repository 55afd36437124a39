#include "tool/tool_screen.h"

#include "tool/tool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROWS 24 /* where the terminal does not say */
#define COLUMNS 80

static void on_resize(int sig)
{
	(void)sig; /* it ends a wait: that is all */
}

static bool is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb");
}

void screen_enter(struct screen *s)
{
	struct sigaction act = { .sa_handler = on_resize };
	const char *no_colour = getenv("NO_COLOR");
	struct termios raw;

	*s = (struct screen){ .on = is_terminal() };
	if (!s->on)
		return;
	s->colour = !no_colour || !*no_colour;
	s->keys = tcgetattr(STDIN_FILENO, &s->before) == 0;
	if (s->keys) {
		raw = s->before;
		raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		/* stopped, it would leave the terminal like this */
		raw.c_cc[VSUSP] = _POSIX_VDISABLE;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	sigemptyset(&act.sa_mask);
	sigaction(SIGWINCH, &act, NULL);
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
}

void screen_leave(struct screen *s)
{
	if (!s->on)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
	signal(SIGWINCH, SIG_DFL);
	s->on = false;
}

static void draw_line(const struct screen *s, const char *text, size_t len,
		      size_t columns)
{
	bool stands_out = len && *text == '\f';

	if (stands_out) {
		text++;
		len--;
	}
	/* in the last column some terminals begin a line */
	if (len >= columns)
		len = columns - 1;
	if (stands_out && s->colour)
		fputs("\033[7m", stdout);
	tool_print_name(text, len);
	fputs("\033[K", stdout);
	if (stands_out && s->colour)
		fputs("\033[0m", stdout);
}

void screen_draw(const struct screen *s, const char *text)
{
	struct winsize size = { 0 };
	size_t rows = ROWS, columns = COLUMNS;

	if (!s->on)
		return;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row &&
	    size.ws_col) {
		rows = size.ws_row;
		columns = size.ws_col;
	}
	fputs("\033[H", stdout);
	for (size_t row = 0; *text && row < rows; row++) {
		size_t len = strcspn(text, "\n");

		if (row)
			putchar('\n');
		draw_line(s, text, len, columns);
		text += len;
		text += *text == '\n';
	}
	fputs("\033[J", stdout);
	fflush(stdout);
}

/* What was typed; where the terminal has gone, nothing more is read. */
static int read_key(struct screen *s)
{
	unsigned char key;

	if (read(STDIN_FILENO, &key, 1) == 1)
		return key;
	if (errno != EINTR)
		s->keys = false;
	return 0;
}

int screen_wait(struct screen *s, int ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };
	struct pollfd in = { .fd = s->keys ? STDIN_FILENO : -1,
			     .events = POLLIN };
	sigset_t all, before;
	int r = 0;

	/* A signal comes before this, and is seen here, or ends the poll. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	if (!tool_signal())
		r = ppoll(&in, 1, &ts, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r > 0 ? read_key(s) : 0;
}
