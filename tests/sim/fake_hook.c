/* SPDX-License-Identifier: MIT */
/*
 * The page is protected; the access faults. For "before", the function runs and
 * the access is made again. For "after", the processor makes it and stops one
 * instruction later (the trap flag), where the function runs.
 */
#include "fake_hook.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define TRAP_FLAG 0x100
#define PAGE 4096u

static struct {
	void *page;
	void (*fn)(void);
	bool is_after, ran;
	struct sigaction old_fault, old_trap;
} hook;

static void on_fault(int signo, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	if ((uint8_t *)si->si_addr - (uint8_t *)hook.page >= PAGE ||
	    (uint8_t *)si->si_addr < (uint8_t *)hook.page || hook.ran ||
	    mprotect(hook.page, PAGE, PROT_READ | PROT_WRITE))
		_exit(128 + signo);
	hook.ran = true;
	if (hook.is_after)
		uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	else
		hook.fn();
}

static void on_trap(int signo, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	(void)signo;
	(void)si;
	uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	hook.fn();
}

static void set(void *page, void (*fn)(void), bool is_after)
{
	struct sigaction fault = { .sa_sigaction = on_fault,
				   .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction trap = { .sa_sigaction = on_trap,
				  .sa_flags = SA_SIGINFO };
	int rc;

	ASSERT(!hook.page);
	hook.page = page;
	hook.fn = fn;
	hook.is_after = is_after;
	hook.ran = false;
	rc = sigaction(SIGSEGV, &fault, &hook.old_fault) |
	     sigaction(SIGTRAP, &trap, &hook.old_trap);
	ASSERT(rc == 0);
	rc = mprotect(page, PAGE, is_after ? PROT_NONE : PROT_READ);
	ASSERT(rc == 0);
}

void fake_before_store(void *page, void (*fn)(void))
{
	set(page, fn, false);
}

void fake_after_load(void *page, void (*fn)(void))
{
	set(page, fn, true);
}

bool fake_hook_ran(void)
{
	int rc;

	if (!hook.page)
		return false;
	rc = sigaction(SIGSEGV, &hook.old_fault, NULL) |
	     sigaction(SIGTRAP, &hook.old_trap, NULL) |
	     mprotect(hook.page, PAGE, PROT_READ | PROT_WRITE);
	ASSERT(rc == 0);
	hook.page = NULL;
	return hook.ran;
}
