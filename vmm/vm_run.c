/* SPDX-License-Identifier: MIT */
/*
 * The life of a machine after it is made. The bus thread decides; processors
 * obey:
 *
 *	stop_all()	returns when every vCPU is parked in vm_vcpu_stopped()
 *	run_all()	those that are not held go on
 *
 * A held vCPU has nothing left to execute (triple fault, KVM gave up): it stays
 * parked until the machine starts anew. What vCPU threads want done is a bit in
 * `asked` and a write to an eventfd.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "acpi.h"
#include "err.h"
#include "vm_priv.h"

#define CRASHES_TOLD 8u /* a guest may say so as often as it likes */

/* ---- vCPU threads ------------------------------------------------------- */

void vm_ask(struct vm *vm, enum vm_ask what)
{
	atomic_fetch_or(&vm->asked, (unsigned)what);
	eventfd_write(vm->ask_fd, 1);
}

/* A guest that has crashed leaves five numbers; Linux gives its last words as
 * address and length, in the last two, after three zeroes. */
static void describe_crash(struct vm *vm, const struct vcpu *v)
{
	char text[sizeof(vm->crash)];
	uint64_t p[5];
	size_t len;

	vcpu_crash_params(v, p);
	len = (size_t)u64_min(p[4], sizeof(text) - 1);
	if (p[0] || p[1] || p[2] || !len ||
	    !gmem_read(&vm->mem, p[3] + p[4] - len, text, len)) {
		snprintf(text, sizeof(text),
			 "0x%llx 0x%llx 0x%llx 0x%llx 0x%llx",
			 (unsigned long long)p[0], (unsigned long long)p[1],
			 (unsigned long long)p[2], (unsigned long long)p[3],
			 (unsigned long long)p[4]);
		len = strlen(text);
	}
	text[len] = '\0';
	for (char *c = text; *c; c++)
		if (*c < 0x20 || *c == 0x7f) /* beyond ASCII it is < 0 */
			*c = ' ';
	pthread_mutex_lock(&vm->lock);
	memcpy(vm->crash, text, sizeof(text));
	pthread_mutex_unlock(&vm->lock);
}

void vm_vcpu_says(void *arg, struct vcpu *v, enum vcpu_word word)
{
	struct vm *vm = arg;

	if (word == VCPU_CRASHED) {
		describe_crash(vm, v);
		vm_ask(vm, VM_ASK_CRASHED);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	v->held = true;
	pthread_mutex_unlock(&vm->lock);
	atomic_store(&v->stop, true);
	vm_ask(vm, word == VCPU_RESET ? VM_ASK_RESET : VM_ASK_FAILED);
}

bool vm_vcpu_stopped(void *arg, struct vcpu *v)
{
	struct vm *vm = arg;
	bool go_on;

	pthread_mutex_lock(&vm->lock);
	v->parked = true;
	pthread_cond_broadcast(&vm->moved);
	while ((vm->halted || v->held) && !vm->ending)
		pthread_cond_wait(&vm->moved, &vm->lock);
	v->parked = false;
	go_on = !vm->ending;
	/* Under the lock: a kick that comes after halted was seen clear comes
	 * after this. */
	atomic_store(&v->stop, false);
	v->run->immediate_exit = 0;
	pthread_mutex_unlock(&vm->lock);
	return go_on;
}

/* ---- bus thread --------------------------------------------------------- */

static void stop_all(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->halted = true;
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		vcpu_kick(&vm->vcpu[i]);
	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		while (vm->vcpu[i].has_thread && !vm->vcpu[i].parked)
			pthread_cond_wait(&vm->moved, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

static void run_all(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->halted = false;
	pthread_cond_broadcast(&vm->moved);
	pthread_mutex_unlock(&vm->lock);
}

static void end(struct vm *vm, enum vm_end why)
{
	if (vm->end != VM_END_ERROR) /* whatever was asked for besides */
		vm->end = why;
	evloop_stop(vm->loop);
}

int vm_power_on(struct vm *vm, struct vhdx_err *e)
{
	const struct boot_files files = { vm->conf->kernel, vm->conf->initrd,
					  vm->conf->cmdline };
	struct boot_start start;
	int rc = boot_load(&vm->mem, vm->conf->memory_len, vm->vcpu_cnt, &files,
			   &start, e);

	if (!rc)
		rc = vm_kvm_reset(&vm->kvm, e);
	for (unsigned i = 0; i < vm->vcpu_cnt && !rc; i++)
		rc = vcpu_reset(&vm->vcpu[i], i == 0 ? &start : NULL, e);
	vm_serial_reset(&vm->serial);
	return rc;
}

void vm_reset(struct vm *vm)
{
	int rc;

	stop_all(vm);
	if (vm->events.reset)
		vm->events.reset(vm->events.arg);
	rc = vm_power_on(vm, &vm->err);
	if (rc) {
		err_wrap(&vm->err, rc, "reset");
		end(vm, VM_END_ERROR);
		return;
	}
	/* What processors asked for before they stopped is done, or moot. */
	atomic_fetch_and(&vm->asked, ~(unsigned)VM_ASK_RESET);
	vm->crash_cnt = 0;
	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		vm->vcpu[i].held = false;
	pthread_mutex_unlock(&vm->lock);
	if (!vm->paused)
		run_all(vm);
}

static void on_crashed(struct vm *vm)
{
	char text[sizeof(vm->crash)];

	if (vm->crash_cnt == CRASHES_TOLD)
		return;
	vm->crash_cnt++;
	pthread_mutex_lock(&vm->lock);
	memcpy(text, vm->crash, sizeof(text));
	pthread_mutex_unlock(&vm->lock);
	if (vm->events.crashed)
		vm->events.crashed(vm->events.arg, text);
}

static void on_failed(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		if (vm->vcpu[i].err.code)
			err_copy(&vm->err, &vm->vcpu[i].err,
				 vm->vcpu[i].err.code);
	end(vm, VM_END_ERROR);
}

void vm_on_asked(void *arg, uint32_t events)
{
	struct vm *vm = arg;
	eventfd_t cnt;
	unsigned asked;

	(void)events;
	if (eventfd_read(vm->ask_fd, &cnt) != 0)
		return;
	asked = atomic_exchange(&vm->asked, 0);
	if (asked & VM_ASK_CRASHED)
		on_crashed(vm);
	if (asked & VM_ASK_FAILED)
		on_failed(vm);
	else if (asked & VM_ASK_OFF)
		end(vm, VM_END_POWER_OFF);
	else if (asked & VM_ASK_RESET)
		vm_reset(vm);
}

void vm_pause(struct vm *vm)
{
	if (!vm->paused)
		stop_all(vm);
	vm->paused = true;
}

void vm_resume(struct vm *vm)
{
	if (vm->paused)
		run_all(vm);
	vm->paused = false;
}

static void set_line(struct vm *vm, unsigned gsi, unsigned level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	ioctl(vm->kvm.vm_fd, KVM_IRQ_LINE, &line);
}

/* An edge; a guest without a handler for it yet does not see it. */
void vm_press_power(struct vm *vm)
{
	set_line(vm, ACPI_POWER_GSI, 1);
	set_line(vm, ACPI_POWER_GSI, 0);
}

void vm_quit(struct vm *vm)
{
	end(vm, VM_END_QUIT);
}

enum vm_state vm_state(const struct vm *vm)
{
	if (!vm->runs)
		return VM_OFF;
	if (vm->paused)
		return VM_PAUSED;
	return vm->crash_cnt ? VM_CRASHED : VM_RUNNING;
}

static void end_threads(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->ending = true;
	pthread_cond_broadcast(&vm->moved);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		vcpu_kick(&vm->vcpu[i]);
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		vcpu_join(&vm->vcpu[i]);
}

enum vm_end vm_run(struct vm *vm, struct vhdx_err *e)
{
	int rc = 0;

	vm->runs = true;
	if (!vm->paused)
		run_all(vm);
	for (unsigned i = 0; i < vm->vcpu_cnt && !rc; i++)
		rc = vcpu_start_thread(&vm->vcpu[i], &vm->err);
	if (rc)
		vm->end = VM_END_ERROR;
	else
		evloop_run(vm->loop);
	end_threads(vm);
	vm_serial_finish(&vm->serial);
	vm->runs = false;
	if (vm->end == VM_END_ERROR)
		err_copy(e, &vm->err, vm->err.code);
	return vm->end;
}
