/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "err.h"
#include "vm_priv.h"

/* Below the reset vector's page, where no memory and no device is: KVM on Intel
 * wants three pages and one for its own use. */
#define TSS_GPA 0xfffbd000ul
#define IDENTITY_GPA 0xfffbc000ul
#define PIC_ALL_MASKED 0xffu
#define HUGE_PAGE (2 * MIB)

static const struct {
	int cap;
	const char *name;
} needed[] = {
#define CAP(name) { KVM_CAP_##name, "KVM_CAP_" #name }
	CAP(USER_MEMORY), CAP(IRQCHIP),	   CAP(PIT2),
	CAP(PIT_STATE2),  CAP(MP_STATE),   CAP(IRQ_ROUTING),
	CAP(IRQFD),	  CAP(XSAVE),	   CAP(XCRS),
	CAP(DEBUGREGS),	  CAP(VCPU_EVENTS), CAP(IMMEDIATE_EXIT),
#undef CAP
};

static int open_kvm(struct vm_kvm *k, struct vhdx_err *e)
{
	k->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (k->kvm_fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return err_set(e, VHDX_E_NOTFOUND,
			       "there is no /dev/kvm: load kvm-intel or "
			       "kvm-amd; if that fails, turn on virtualization "
			       "in the firmware (or nesting in the host)");
	if (errno == EACCES)
		return err_set(e, VHDX_E_PERM,
			       "/dev/kvm: permission denied; be a member of "
			       "its group, usually kvm");
	return err_sys(e, errno, "/dev/kvm");
}

static int check_kvm(const struct vm_kvm *k, unsigned cpu_cnt,
		     struct vhdx_err *e)
{
	int version = ioctl(k->kvm_fd, KVM_GET_API_VERSION, 0), max;

	if (version != KVM_API_VERSION)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "/dev/kvm speaks version %d, %d is needed",
			       version, KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(needed); i++)
		if (ioctl(k->kvm_fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return err_set(e, VHDX_E_UNSUPPORTED,
				       "this host's KVM has no %s; any "
				       "distribution's kernel from 4.15 on has "
				       "it",
				       needed[i].name);
	max = ioctl(k->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	if (max > 0 && cpu_cnt > (unsigned)max)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "%u processors: this host's KVM allows %d",
			       cpu_cnt, max);
	return 0;
}

static int make_vm(struct vm_kvm *k, struct vhdx_err *e)
{
	uint64_t identity = IDENTITY_GPA;

	do
		k->vm_fd = ioctl(k->kvm_fd, KVM_CREATE_VM, 0);
	while (k->vm_fd < 0 && errno == EINTR);
	if (k->vm_fd < 0 && errno == EBUSY)
		return err_set(e, VHDX_E_BUSY,
			       "another hypervisor holds the processor's "
			       "virtualization; end it");
	if (k->vm_fd < 0)
		return err_sys(e, errno, "KVM_CREATE_VM");
	if (ioctl(k->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) != 0)
		return err_sys(e, errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(k->vm_fd, KVM_SET_TSS_ADDR, TSS_GPA) != 0)
		return err_sys(e, errno, "KVM_SET_TSS_ADDR");
	return 0;
}

/* The PICs are masked until the guest takes them in hand: one that knows it has
 * no need of them (acpi/fadt.asl) never does, and their vectors after reset are
 * those of exceptions. */
static int make_chips(struct vm_kvm *k, struct vhdx_err *e)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	if (ioctl(k->vm_fd, KVM_CREATE_IRQCHIP, 0) != 0)
		return err_sys(e, errno, "KVM_CREATE_IRQCHIP");
	if (ioctl(k->vm_fd, KVM_CREATE_PIT2, &pit) != 0)
		return err_sys(e, errno, "KVM_CREATE_PIT2");
	for (uint32_t i = 0; i < VM_CHIPS; i++) {
		k->chip[i].chip_id = i;
		if (ioctl(k->vm_fd, KVM_GET_IRQCHIP, &k->chip[i]) != 0)
			return err_sys(e, errno, "KVM_GET_IRQCHIP %u", i);
		if (i != KVM_IRQCHIP_IOAPIC)
			k->chip[i].chip.pic.imr = PIC_ALL_MASKED;
	}
	if (ioctl(k->vm_fd, KVM_GET_PIT2, &k->pit) != 0)
		return err_sys(e, errno, "KVM_GET_PIT2");
	return 0;
}

int vm_kvm_create(struct vm_kvm *k, unsigned cpu_cnt, struct vhdx_err *e)
{
	int rc;

	k->kvm_fd = k->vm_fd = -1;
	rc = open_kvm(k, e);
	if (!rc)
		rc = check_kvm(k, cpu_cnt, e);
	if (!rc)
		rc = make_vm(k, e);
	if (!rc)
		rc = make_chips(k, e);
	return rc;
}

void vm_kvm_destroy(struct vm_kvm *k)
{
	if (k->vm_fd >= 0)
		close(k->vm_fd);
	if (k->kvm_fd >= 0)
		close(k->kvm_fd);
}

int vm_kvm_reset(const struct vm_kvm *k, struct vhdx_err *e)
{
	for (uint32_t i = 0; i < VM_CHIPS; i++)
		if (ioctl(k->vm_fd, KVM_SET_IRQCHIP, &k->chip[i]) != 0)
			return err_sys(e, errno, "KVM_SET_IRQCHIP %u", i);
	if (ioctl(k->vm_fd, KVM_SET_PIT2, &k->pit) != 0)
		return err_sys(e, errno, "KVM_SET_PIT2");
	return 0;
}

/* ---- memory ------------------------------------------------------------- */

static int no_memory(uint64_t len, int why, struct vhdx_err *e)
{
	struct sysinfo si;

	if (sysinfo(&si) != 0 || why != ENOMEM)
		return err_sys(e, why, "guest memory of %llu MiB",
			       (unsigned long long)(len / MIB));
	return err_set(e, VHDX_E_NOMEM,
		       "not enough memory: %llu MiB for the guest, the host "
		       "has %llu MiB and %llu MiB of swap",
		       (unsigned long long)(len / MIB),
		       (unsigned long long)si.totalram * si.mem_unit / MIB,
		       (unsigned long long)si.totalswap * si.mem_unit / MIB);
}

static int add_region(const struct vm_kvm *k, struct gmem *mem, uint64_t gpa,
		      uint64_t len, uint8_t *hva, struct vhdx_err *e)
{
	struct kvm_userspace_memory_region slot = {
		.slot = mem->cnt,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)hva,
	};

	if (!len)
		return 0;
	if (ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) != 0)
		return err_sys(e, errno, "KVM_SET_USER_MEMORY_REGION");
	mem->region[mem->cnt++] =
		(struct gmem_region){ .gpa = gpa, .len = len, .hva = hva };
	return 0;
}

/*
 * Private memory, not a memfd: hosts give shared memory no huge pages unless
 * told to, and with small ones a boot takes some 25 thousand page faults
 * instead of 500. Huge pages reach the guest only where host and guest
 * addresses lie alike, so it starts at a whole one.
 */
static int map_ram(uint64_t len, void **ram, struct vhdx_err *e)
{
	uint8_t *all = mmap(NULL, len + HUGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t skip;

	if (all == MAP_FAILED)
		return no_memory(len, errno, e);
	skip = align_up((uintptr_t)all, HUGE_PAGE) - (uintptr_t)all;
	if (skip)
		munmap(all, skip);
	if (skip < HUGE_PAGE)
		munmap(all + skip + len, HUGE_PAGE - skip);
	*ram = all + skip;
	madvise(*ram, len, MADV_HUGEPAGE);
	madvise(*ram, len, MADV_DONTDUMP);
	return 0;
}

int vm_kvm_memory(const struct vm_kvm *k, uint64_t len, struct gmem *mem,
		  void **ram, struct vhdx_err *e)
{
	uint64_t low = u64_min(len, BOOT_LOW_MAX);
	int rc = map_ram(len, ram, e);
	uint8_t *p = *ram;

	if (!rc)
		rc = add_region(k, mem, 0, low, p, e);
	return rc ? rc : add_region(k, mem, BOOT_HIGH_GPA, len - low, p + low,
				    e);
}
