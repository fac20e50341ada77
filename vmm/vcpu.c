/* SPDX-License-Identifier: MIT */
#include "vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "hyperv.h"
#include "io.h"
#include "vcpu_state.h"

#define KICK SIGRTMIN

int vcpu_create(struct vcpu *v, int kvm_fd, int vm_fd, struct vhdx_err *e)
{
	int len = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), rc;

	v->fd = ioctl(vm_fd, KVM_CREATE_VCPU, (unsigned long)v->vp);
	if (len < 0 || v->fd < 0)
		return err_sys(e, errno, "processor %u: KVM_CREATE_VCPU",
			       v->vp);
	v->run_len = (size_t)len;
	v->run = mmap(NULL, v->run_len, PROT_READ | PROT_WRITE, MAP_SHARED,
		      v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		return err_sys(e, errno, "processor %u: mmap", v->vp);
	}
	rc = hyperv_vcpu_init(v->hyperv, v->vp, v->fd, e);
	if (rc)
		return rc;
	return vcpu_state_save(kvm_fd, v->fd, &v->at_start, e);
}

void vcpu_destroy(struct vcpu *v)
{
	ASSERT(!v->has_thread);
	vcpu_state_free(v->at_start);
	if (v->run)
		munmap(v->run, v->run_len);
	if (v->fd >= 0)
		close(v->fd);
	v->run = NULL;
	v->fd = -1;
}

int vcpu_reset(struct vcpu *v, const struct boot_start *start,
	       struct vhdx_err *e)
{
	int rc = vcpu_state_load(v->fd, v->at_start, v->vp == 0, e);

	if (!rc && start)
		rc = vcpu_state_boot(v->fd, start, e);
	return rc ? err_wrap(e, rc, "processor %u", v->vp) : 0;
}

/* ---- exits -------------------------------------------------------------- */

static void fail(struct vcpu *v, const char *what, uint64_t detail)
{
	struct kvm_regs regs = { 0 };

	if (v->err.code) /* told, and perhaps being read */
		return;
	if (ioctl(v->fd, KVM_GET_REGS, &regs) != 0)
		regs.rip = 0;
	err_set(&v->err, VHDX_E_FAILED,
		"processor %u: KVM stopped it: %s 0x%llx, at rip 0x%llx", v->vp,
		what, (unsigned long long)detail,
		(unsigned long long)regs.rip);
	v->say(v->arg, v, VCPU_FAILED);
}

static void exit_system(struct vcpu *v)
{
	uint32_t type = v->run->system_event.type;

	if (type == KVM_SYSTEM_EVENT_CRASH)
		v->say(v->arg, v, VCPU_CRASHED);
	else if (type == KVM_SYSTEM_EVENT_RESET)
		v->say(v->arg, v, VCPU_RESET);
	else
		fail(v, "system event", type);
}

static void handle_exit(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		io_access(v->io, run->io.port,
			  run->io.direction == KVM_EXIT_IO_OUT,
			  (uint8_t *)run + run->io.data_offset, run->io.size,
			  run->io.count);
		break;
	case KVM_EXIT_MMIO: /* nothing is there */
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		break;
	case KVM_EXIT_HYPERV:
		hyperv_exit(v->hyperv, v->vp, run);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SHUTDOWN: /* triple fault: a PC starts anew */
		v->say(v->arg, v, VCPU_RESET);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		exit_system(v);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		fail(v, "internal error", run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		fail(v, "the hardware refuses its state:",
		     run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		fail(v, "unknown exit", run->exit_reason);
		break;
	}
}

/* False: KVM gave up. */
static bool run_once(struct vcpu *v, bool *interrupted)
{
	*interrupted = false;
	if (ioctl(v->fd, KVM_RUN, 0) == 0) {
		handle_exit(v);
		return true;
	}
	/* EAGAIN: a processor that was not started yet has just been. */
	*interrupted = errno == EINTR;
	if (errno == EINTR || errno == EAGAIN)
		return true;
	err_sys(&v->err, errno, "processor %u: KVM_RUN", v->vp);
	v->say(v->arg, v, VCPU_FAILED);
	return false;
}

/* KVM finishes what the last exit has begun, and runs nothing. */
static void finish_exit(struct vcpu *v)
{
	bool interrupted = false;

	v->run->immediate_exit = 1;
	while (!interrupted && run_once(v, &interrupted))
		;
}

static void *thread_main(void *arg)
{
	struct vcpu *v = arg;
	char name[16];
	bool interrupted;

	snprintf(name, sizeof(name), "vcpu %u", v->vp);
	pthread_setname_np(pthread_self(), name);
	for (;;) {
		if (atomic_load(&v->stop)) {
			finish_exit(v);
			if (!v->stopped(v->arg, v))
				return NULL;
		}
		if (!run_once(v, &interrupted))
			atomic_store(&v->stop, true);
	}
}

/* ---- threads ------------------------------------------------------------ */

static void on_kick(int sig)
{
	(void)sig; /* only to interrupt KVM_RUN */
}

int vcpu_start_thread(struct vcpu *v, struct vhdx_err *e)
{
	struct sigaction sa = { .sa_handler = on_kick };
	sigset_t all, old;
	int rc;

	sigaction(KICK, &sa, NULL);
	sigfillset(&all);
	sigdelset(&all, KICK);
	/* Blocked, a crash would kill without a word: term.c has one. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&v->thread, NULL, thread_main, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_sys(e, rc, "processor %u: thread", v->vp);
	v->has_thread = true;
	return 0;
}

void vcpu_join(struct vcpu *v)
{
	if (v->has_thread)
		pthread_join(v->thread, NULL);
	v->has_thread = false;
}

/* immediate_exit is for a thread that has looked at `stop` already, but is not
 * in KVM_RUN yet: the signal alone would be lost. */
void vcpu_kick(struct vcpu *v)
{
	atomic_store(&v->stop, true);
	atomic_store_explicit((_Atomic uint8_t *)&v->run->immediate_exit, 1,
			      memory_order_seq_cst);
	if (v->has_thread)
		pthread_kill(v->thread, KICK);
}

void vcpu_crash_params(const struct vcpu *v, uint64_t p[5])
{
	enum { CRASH_P0 = 0x40000100 };
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) +
			     5 * sizeof(struct kvm_msr_entry)];
	} m = { .list.nmsrs = 5 };

	for (unsigned i = 0; i < 5; i++) {
		m.list.entries[i].index = CRASH_P0 + i;
		m.list.entries[i].data = 0;
	}
	if (ioctl(v->fd, KVM_GET_MSRS, &m) < 0)
		m.list.nmsrs = 0;
	for (unsigned i = 0; i < 5; i++)
		p[i] = m.list.nmsrs ? m.list.entries[i].data : 0;
}
