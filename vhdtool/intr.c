/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "intr.h"
#include "msg.h"

static int fd = -1;
static int caught;

bool intr_catch(void)
{
	static const int wanted[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct sigaction now;
		sigaction(wanted[i], NULL, &now);
		if (now.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) {
		say_fail(STATUS_FAILED, NULL, "signalfd: %s", strerror(errno));
		return false;
	}
	return true;
}

int intr_fd(void)
{
	return fd;
}

bool intr_caught(void)
{
	struct signalfd_siginfo si;
	if (!caught && fd >= 0 && read(fd, &si, sizeof(si)) == sizeof(si))
		caught = (int)si.ssi_signo;
	return caught != 0;
}

void intr_finish(void)
{
	if (!caught)
		return;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, caught);
	signal(caught, SIG_DFL);
	raise(caught);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
