/* SPDX-License-Identifier: MIT */
#include "vm_priv.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "err.h"
#include "mem.h"

static void ask_off(void *arg)
{
	vm_ask(arg, VM_ASK_OFF);
}

static void ask_reset(void *arg)
{
	vm_ask(arg, VM_ASK_RESET);
}

static int create(struct vm *vm, struct vhdx_err *e)
{
	int rc = vm_kvm_create(&vm->kvm, vm->conf->cpus, e);

	if (rc)
		return rc;
	rc = vm_kvm_memory(&vm->kvm, vm->conf->memory_len, &vm->mem, &vm->ram,
			   e);
	if (rc)
		return rc;
	vm->ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->ask_fd < 0)
		return err_sys(e, errno, "eventfd");
	vm->ask = (struct ev){ vm->ask_fd, vm_on_asked, vm };
	rc = evloop_add(vm->loop, &vm->ask, EPOLLIN, e);
	if (rc)
		return rc;
	vm_pm_create(&vm->pm, &vm->io, ask_off, ask_reset, vm);
	return vm_serial_create(&vm->serial, vm->kvm.vm_fd, vm->loop, &vm->io,
				e);
}

int vm_create(const struct conf *conf, struct evloop *loop, struct vm **out,
	      struct vhdx_err *e)
{
	struct vm *vm = mem_zalloc(sizeof(*vm));
	int rc;

	if (!vm)
		return err_set(e, VHDX_E_NOMEM, "machine: out of memory");
	vm->conf = conf;
	vm->loop = loop;
	vm->ask_fd = -1;
	vm->halted = true;
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->moved, NULL);
	rc = create(vm, e);
	if (rc)
		vm_destroy(vm);
	else
		*out = vm;
	return rc;
}

/* KVM tells in which page of a vCPU's mapping (of any, it is the VM's). */
static void collect_serial(struct vm *vm)
{
	const struct vcpu *v = &vm->vcpu[0];
	size_t page_len = (size_t)sysconf(_SC_PAGESIZE);
	int page = ioctl(vm->kvm.kvm_fd, KVM_CHECK_EXTENSION,
			 KVM_CAP_COALESCED_MMIO);
	int pio = ioctl(vm->kvm.kvm_fd, KVM_CHECK_EXTENSION,
			KVM_CAP_COALESCED_PIO);

	if (page > 0 && pio > 0 && (size_t)(page + 1) * page_len <= v->run_len)
		vm_serial_collect(&vm->serial,
				  (uint8_t *)v->run + (size_t)page * page_len,
				  page_len);
}

int vm_add_cpus(struct vm *vm, struct hyperv *hyperv, struct vhdx_err *e)
{
	for (unsigned i = 0; i < vm->conf->cpus; i++) {
		struct vcpu *v = &vm->vcpu[i];
		int rc;

		v->vp = i;
		v->fd = -1;
		v->hyperv = hyperv;
		v->io = &vm->io;
		v->say = vm_vcpu_says;
		v->stopped = vm_vcpu_stopped;
		v->arg = vm;
		v->stop = true; /* asks first whether to run */
		vm->vcpu_cnt = i + 1;
		rc = vcpu_create(v, vm->kvm.kvm_fd, vm->kvm.vm_fd, e);
		if (rc)
			return rc;
	}
	collect_serial(vm);
	return vm_power_on(vm, e);
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	for (unsigned i = 0; i < vm->vcpu_cnt; i++)
		vcpu_destroy(&vm->vcpu[i]);
	vm_serial_destroy(&vm->serial);
	vm_kvm_destroy(&vm->kvm);
	if (vm->ask_fd >= 0)
		close(vm->ask_fd); /* leaves the loop by that */
	if (vm->ram)
		munmap(vm->ram, vm->conf->memory_len);
	pthread_cond_destroy(&vm->moved);
	pthread_mutex_destroy(&vm->lock);
	mem_free(vm);
}

int vm_kvm_fd(const struct vm *vm)
{
	return vm->kvm.kvm_fd;
}

int vm_fd(const struct vm *vm)
{
	return vm->kvm.vm_fd;
}

unsigned vm_cpu_cnt(const struct vm *vm)
{
	return vm->conf->cpus;
}

const struct gmem *vm_mem(const struct vm *vm)
{
	return &vm->mem;
}

void vm_set_events(struct vm *vm, const struct vm_events *ev)
{
	vm->events = *ev;
}

int vm_console(struct vm *vm, int in_fd, int out_fd, struct vhdx_err *e)
{
	return vm_serial_console(&vm->serial, in_fd, out_fd, e);
}
