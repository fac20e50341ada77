/* SPDX-License-Identifier: MIT */
/* What the bus thread makes of what processors say, without KVM. */
#include "t.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "err.h"
#include "vm_priv.h"

/* What is asked for here does not get as far as to these. */
void vcpu_kick(struct vcpu *v)
{
	(void)v;
}

void vcpu_join(struct vcpu *v)
{
	(void)v;
}

int vcpu_start_thread(struct vcpu *v, struct vhdx_err *e)
{
	return err_set(e, VHDX_E_UNSUPPORTED, "processor %u", v->vp);
}

int vcpu_reset(struct vcpu *v, const struct boot_start *start,
	       struct vhdx_err *e)
{
	(void)start;
	return err_set(e, VHDX_E_UNSUPPORTED, "processor %u", v->vp);
}

void vcpu_crash_params(const struct vcpu *v, uint64_t p[5])
{
	(void)v;
	memset(p, 0, 5 * sizeof(*p));
}

int vm_kvm_reset(const struct vm_kvm *k, struct vhdx_err *e)
{
	(void)k;
	return err_set(e, VHDX_E_UNSUPPORTED, "no KVM");
}

static struct vm vm;
static unsigned told;

static void on_crash(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	told++;
}

static void make(void)
{
	memset(&vm, 0, sizeof(vm));
	told = 0;
	vm.runs = true;
	vm.vcpu_cnt = 1;
	vm.events.crashed = on_crash;
	vm.ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&vm.lock, NULL);
	T_OK(evloop_create(&vm.loop, &t_err));
}

static void unmake(void)
{
	evloop_destroy(vm.loop);
	pthread_mutex_destroy(&vm.lock);
	close(vm.ask_fd);
}

static void a_guest_that_crashes_for_ever_is_not_told_for_ever(void)
{
	make();
	for (unsigned i = 0; i < 1000; i++) {
		vm_ask(&vm, VM_ASK_CRASHED);
		vm_on_asked(&vm, 0);
	}
	T_TRUE(told > 0 && told < 10);
	T_TRUE(vm_state(&vm) == VM_CRASHED);
	unmake();
}

/* Or it would end as if all were well. */
static void an_error_is_not_forgotten_for_a_quit(void)
{
	make();
	err_set(&vm.vcpu[0].err, VHDX_E_FAILED, "no more");
	vm_ask(&vm, VM_ASK_FAILED);
	vm_on_asked(&vm, 0);
	vm_quit(&vm);
	T_TRUE(vm.end == VM_END_ERROR);
	T_TRUE(strcmp(vm.err.text, "no more") == 0);
	unmake();
}

static void a_power_off_wins_over_a_reset(void)
{
	make();
	vm_ask(&vm, VM_ASK_RESET);
	vm_ask(&vm, VM_ASK_OFF);
	vm.end = VM_END_QUIT;
	vm_on_asked(&vm, 0);
	T_TRUE(vm.end == VM_END_POWER_OFF);
	unmake();
}

static const struct t_test tests[] = {
	T_TEST(a_guest_that_crashes_for_ever_is_not_told_for_ever),
	T_TEST(an_error_is_not_forgotten_for_a_quit),
	T_TEST(a_power_off_wins_over_a_reset),
	T_END
};
const struct t_suite t_suite_vmm_run = { "vmm_run", tests };
