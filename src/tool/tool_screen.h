/* tool_screen.h - a text that takes the whole terminal and is drawn anew.
 *
 *   struct screen s;
 *
 *   screen_enter(&s);             what stood there is put aside
 *   screen_draw(&s, text);
 *   key = screen_wait(&s, 2000);
 *   screen_leave(&s);             and comes back
 *
 * Where standard output is no terminal, or one that understands nothing
 * (TERM=dumb), s.on is false: enter, draw and leave do nothing, and wait only
 * waits.  Signals are those of tool_catch_signals, which comes first.
 *
 * Errors: none; a terminal that has gone is a signal.
 * Threads: one.
 */
#ifndef BLT_TOOL_SCREEN_H
#define BLT_TOOL_SCREEN_H

#include <stdbool.h>
#include <termios.h>

struct screen {
	bool on;
	bool colour; /* a line may stand out; not with NO_COLOR */
	bool keys;   /* standard input is a terminal, too */
	struct termios before;
};

void screen_enter(struct screen *s);
/* Lines, of which those that do not fit are cut.  One that begins with \f
 * stands out. */
void screen_draw(const struct screen *s, const char *text);
/* Until that time has gone by or a signal asks to stop (0), the terminal has
 * got another size (0), or a key was pressed, which is returned. */
int screen_wait(struct screen *s, int ms);
void screen_leave(struct screen *s);

#endif
