/* SPDX-License-Identifier: MIT */
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPU_SECONDS 600

/* AddressSanitizer takes terabytes of addresses, and looks for leaks with means
 * that are not to be had in here. */
#ifdef __SANITIZE_ADDRESS__
#define LIMIT_MEMORY 0
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#else
#define LIMIT_MEMORY 1
#endif
#define MEMORY_LEN (UINT64_C(2) << 30)

/* What the libraries need to look at bytes they have; and why it is harmless.
 * Whatever else they try fails with EPERM. */
static const int allowed[] = {
	SCMP_SYS(read), SCMP_SYS(write),	/* the socket, the file: all */
	SCMP_SYS(pread64), SCMP_SYS(pwrite64),	/* that there is */
	SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	SCMP_SYS(ftruncate), SCMP_SYS(fadvise64),
	SCMP_SYS(close),
	SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise),			/* within RLIMIT_AS */
	SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(getrandom), SCMP_SYS(futex),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static void fail(const char *what)
{
	fprintf(stderr, "vhdfsmap: %s: %s\n", what, strerror(errno));
	_exit(4);
}

/* Or what it is limited to already, if that is less. */
static void limit(int what, uint64_t max)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r) != 0)
		fail("getrlimit");
	if (r.rlim_max < max)
		max = r.rlim_max;
	r = (struct rlimit){ max, max };
	if (setrlimit((__rlimit_resource_t)what, &r) != 0)
		fail("setrlimit");
}

static void filter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));

	if (!ctx)
		fail("seccomp");
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0) != 0)
			fail("seccomp");
	if (seccomp_load(ctx) != 0)
		fail("seccomp");
	seccomp_release(ctx);
}

int jail_enter(void)
{
	int fd;

	/* The parent gave us the socket as standard input, and /dev/null. */
	if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
		for (int i = 3; i < 1024; i++)
			close(i);
	fd = memfd_create("fsmap", MFD_CLOEXEC);
	if (fd < 0)
		fail("memfd_create");
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, CPU_SECONDS);
	if (LIMIT_MEMORY)
		limit(RLIMIT_AS, MEMORY_LEN);
	limit(RLIMIT_FSIZE, JAIL_FILE_MAX);
	limit(RLIMIT_NPROC, 0);
	if (prctl(PR_SET_DUMPABLE, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("prctl");
	filter();
	return fd;
}
