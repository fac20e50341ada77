/* SPDX-License-Identifier: MIT */
/*
 * What a command costs: runs it and prints, behind its own output,
 *	cost: wall S user S system S rss KIB written BYTES
 *	Run completed in X seconds		(X: as asked for, wall or cpu)
 * Small itself, and starts it without a copy of its own memory, so that the
 * memory it tells is the command's. `written` is what the kernel counts as on
 * its way to a disk; tmpfs has none.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(const struct timeval *tv)
{
	return (double)tv->tv_sec + (double)tv->tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage u;
	double begin, wall, cpu;
	int status;
	pid_t pid;

	if (argc < 3 || (strcmp(argv[1], "wall") && strcmp(argv[1], "cpu"))) {
		fprintf(stderr, "usage: cost wall|cpu COMMAND [ARGUMENT]...\n");
		return 2;
	}
	begin = now();
	errno = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ);
	if (errno || wait4(pid, &status, 0, &u) != pid) {
		perror(argv[2]);
		return 1;
	}
	wall = now() - begin;
	cpu = seconds(&u.ru_utime) + seconds(&u.ru_stime);
	printf("cost: wall %.6f user %.6f system %.6f rss %ld written %llu\n",
	       wall, seconds(&u.ru_utime), seconds(&u.ru_stime), u.ru_maxrss,
	       (unsigned long long)u.ru_oublock * 512);
	printf("Run completed in %.6f seconds\n",
	       strcmp(argv[1], "cpu") ? wall : cpu);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
