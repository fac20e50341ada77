/* SPDX-License-Identifier: MIT */
#include "term.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_A 1

static struct termios before;
static volatile sig_atomic_t is_raw;

/* Also from a signal handler. */
void term_restore(void)
{
	if (!is_raw)
		return;
	is_raw = 0;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void dying(int sig)
{
	term_restore();
	raise(sig); /* SA_RESETHAND: this time it kills */
}

static void catch_death(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE,
				      SIGQUIT };
	struct sigaction sa = {
		.sa_handler = dying,
		.sa_flags = (int)SA_RESETHAND | SA_NODEFER,
	};
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		sigaction(deadly[i], &sa, NULL);
}

void term_raw(void)
{
	static bool prepared;
	struct termios t;
	if (is_raw || tcgetattr(STDIN_FILENO, &before) != 0 ||
	    tcgetpgrp(STDIN_FILENO) != getpgrp())
		return;
	if (!prepared) {
		catch_death();
		atexit(term_restore);
		prepared = true;
	}
	t = before;
	cfmakeraw(&t);
	t.c_oflag = before.c_oflag; /* our own messages end in \n */
	is_raw = 1;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

size_t term_filter(struct term_keys *k, char *text, size_t len)
{
	size_t kept = 0;
	for (size_t i = 0; i < len && !k->quit; i++) {
		char c = text[i];
		if (k->escaped) {
			k->escaped = false;
			k->quit = c == 'x';
			if (c == CTRL_A)
				text[kept++] = c;
		} else if (c == CTRL_A) {
			k->escaped = true;
		} else {
			text[kept++] = c;
		}
	}
	return kept;
}
