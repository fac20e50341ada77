/* SPDX-License-Identifier: MIT */
/* Puts into memory what boot.c has decided. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acpi.h"
#include "boot.h"
#include "err.h"
#include "le.h"
#include "mem.h"

#define ENTRY_64 0x200u
#define STACK_GPA BOOT_CMDLINE_GPA /* grows down; the kernel soon has its own */

struct file {
	const char *path; /* NULL: there is none */
	int fd;
	uint64_t len;
};

static int open_file(struct file *f, struct vhdx_err *e)
{
	struct stat st;

	f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		return err_sys(e, errno, "%s", f->path);
	if (fstat(f->fd, &st) != 0)
		return err_sys(e, errno, "%s", f->path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, VHDX_E_UNSUPPORTED, "%s: not a regular file",
			       f->path);
	f->len = (uint64_t)st.st_size;
	return 0;
}

static void close_file(struct file *f)
{
	if (f->fd >= 0)
		close(f->fd);
}

static int read_file(const struct file *f, uint8_t *buf, uint64_t len,
		     uint64_t off, struct vhdx_err *e)
{
	while (len) {
		ssize_t n = pread(f->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, errno,
				       "%s: reading %llu bytes at %llu",
				       f->path, (unsigned long long)len,
				       (unsigned long long)off);
		if (n == 0)
			return err_set(e, VHDX_E_IO,
				       "%s: became shorter while it was read",
				       f->path);
		buf += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int load_at(const struct gmem *mem, const struct file *f, uint64_t off,
		   uint64_t gpa, uint64_t len, struct vhdx_err *e)
{
	uint8_t *to = gmem_range(mem, gpa, len);
	int rc;

	if (!to)
		return err_set(e, VHDX_E_NOMEM,
			       "%s: no memory at 0x%llx for %llu bytes",
			       f->path, (unsigned long long)gpa,
			       (unsigned long long)len);
	rc = read_file(f, to, len, off, e);
	gmem_dirty(mem, to, len);
	return rc;
}

/* Null, null, 64-bit code, data, task: flat, as the protocol wants them. */
static const uint64_t gdt[] = {
	0,
	0,
	UINT64_C(0x00af9b000000ffff),
	UINT64_C(0x00cf93000000ffff),
	UINT64_C(0x008f8b000000ffff),
	0, /* a task's descriptor has 16 bytes */
};

static void put_page_tables(uint8_t *t)
{
	enum { PRESENT = 1, WRITE = 2, LARGE = 0x80, DIRS = 4 };
	uint8_t *dir = t + 2 * GMEM_PAGE;

	put_le64(t, (BOOT_PAGES_GPA + GMEM_PAGE) | PRESENT | WRITE);
	for (unsigned i = 0; i < DIRS; i++)
		put_le64(t + GMEM_PAGE + 8 * i,
			 (BOOT_PAGES_GPA + (2 + i) * GMEM_PAGE) | PRESENT |
				 WRITE);
	for (uint64_t i = 0; i < DIRS * 512; i++)
		put_le64(dir + 8 * i, i * 2 * MIB | PRESENT | WRITE | LARGE);
}

/* So that a guest need not wait for its first random numbers. */
static void put_seed(uint8_t *t)
{
	enum { NEXT = 0, TYPE = 8, LEN = 12, DATA = 16, SEED_LEN = 32 };
	enum { TYPE_RNG_SEED = 9 };

	put_le64(t + NEXT, 0);
	put_le32(t + TYPE, TYPE_RNG_SEED);
	put_le32(t + LEN, SEED_LEN);
	if (getrandom(t + DATA, SEED_LEN, 0) != SEED_LEN)
		put_le32(t + LEN, 0);
}

/*
 * Linux on hardware-reduced ACPI asks EFI to begin anew, and where there is
 * none, the BIOS: a jump to its first instruction, in real mode. So there is
 * one, and it uses the reset register.
 */
static void put_reset(uint8_t *t)
{
	static const uint8_t code[] = {
		0xba, ACPI_RESET_PORT & 0xff, ACPI_RESET_PORT >> 8, /* dx */
		0xb0, ACPI_RESET_VALUE, /* al */
		0xee,			/* out dx, al */
		0xf4, 0xeb, 0xfd,	/* hlt, again */
	};

	memcpy(t, code, sizeof(code));
}

/* Everything below 1 MiB but the boot parameters. */
static int put_low(const struct gmem *mem, unsigned cpu_cnt,
		   const char *cmdline, struct vhdx_err *e)
{
	uint8_t *low = gmem_range(mem, 0, MIB);
	uint8_t *acpi;

	if (!low)
		return err_set(e, VHDX_E_NOMEM, "less than 1 MiB of memory");
	memset(low, 0, MIB);
	for (size_t i = 0; i < ARRAY_LEN(gdt); i++)
		put_le64(low + BOOT_GDT_GPA + 8 * i, gdt[i]);
	put_page_tables(low + BOOT_PAGES_GPA);
	put_seed(low + BOOT_SEED_GPA);
	memcpy(low + BOOT_CMDLINE_GPA, cmdline, strlen(cmdline) + 1);
	put_reset(low + BOOT_RESET_GPA);
	acpi = low + ACPI_GPA;
	if (!acpi_build(acpi, ACPI_MAX, ACPI_GPA, cpu_cnt))
		return err_set(e, VHDX_E_INVAL,
			       "ACPI tables for %u processors do not fit",
			       cpu_cnt);
	gmem_dirty(mem, low, MIB);
	return 0;
}

static int load(const struct gmem *mem, uint64_t mem_len, unsigned cpu_cnt,
		const struct file *kernel, const struct file *initrd,
		const char *cmdline, struct boot_start *start,
		struct vhdx_err *e)
{
	uint8_t head[BOOT_HEAD_LEN] = { 0 };
	size_t head_len = (size_t)u64_min(sizeof(head), kernel->len);
	struct boot_head h;
	struct boot_plan p;
	int rc = read_file(kernel, head, head_len, 0, e);

	if (rc)
		return rc;
	rc = boot_head_decode(head, head_len, kernel->len, &h, e);
	if (rc)
		return err_wrap(e, rc, "%s", kernel->path);
	rc = boot_plan(&h, u64_min(mem_len, BOOT_LOW_MAX), initrd->len,
		       strlen(cmdline), &p, e);
	if (rc)
		return rc;
	rc = put_low(mem, cpu_cnt, cmdline, e);
	if (rc)
		return rc;
	boot_params(gmem_range(mem, BOOT_PARAMS_GPA, GMEM_PAGE), head, &h, &p,
		    mem_len);
	rc = load_at(mem, kernel, h.code_off, p.kernel_gpa, h.code_len, e);
	if (!rc && p.initrd_len)
		rc = load_at(mem, initrd, 0, p.initrd_gpa, p.initrd_len, e);
	*start = (struct boot_start){
		.rip = p.kernel_gpa + ENTRY_64,
		.rsi = BOOT_PARAMS_GPA,
		.rsp = STACK_GPA,
		.cr3 = BOOT_PAGES_GPA,
		.gdt_gpa = BOOT_GDT_GPA,
		.gdt_len = sizeof(gdt),
	};
	return rc;
}

int boot_load(const struct gmem *mem, uint64_t mem_len, unsigned cpu_cnt,
	      const struct boot_files *f, struct boot_start *start,
	      struct vhdx_err *e)
{
	struct file kernel = { .path = f->kernel, .fd = -1 };
	struct file initrd = { .path = f->initrd, .fd = -1 };
	int rc = open_file(&kernel, e);

	if (!rc && initrd.path)
		rc = open_file(&initrd, e);
	if (!rc)
		rc = load(mem, mem_len, cpu_cnt, &kernel, &initrd,
			  f->cmdline ? f->cmdline : "", start, e);
	close_file(&kernel);
	close_file(&initrd);
	return rc;
}
