/* SPDX-License-Identifier: MIT */
/*
 * What can be said of a kernel without memory to put it in: its header, the
 * places, and the page of parameters. Offsets are those of struct boot_params;
 * the setup header has the same ones in the file.
 */
#include "boot.h"

#include "acpi.h"
#include "err.h"
#include "le.h"

enum {
	BP_RSDP = 0x070,
	BP_E820_CNT = 0x1e8,
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4, /* in 16 bytes */
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP = 0x201, /* the header ends 0x202 + this */
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_CODE32 = 0x214,
	HDR_INITRD = 0x218,
	HDR_INITRD_LEN = 0x21c,
	HDR_CMDLINE = 0x228,
	HDR_INITRD_LAST = 0x22c,
	HDR_ALIGN = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_MAX = 0x238,
	HDR_SETUP_DATA = 0x250,
	HDR_PREF = 0x258,
	HDR_INIT_LEN = 0x260,
	HDR_END_MIN = 0x264,
	HDR_END_MAX = 0x290, /* boot_params has other things behind */
	BP_E820 = 0x2d0,

	E820_LEN = 20,
	E820_RAM = 1,
	E820_RESERVED = 2,
};

#define MAGIC 0x53726448u /* "HdrS" */
#define ELF_MAGIC 0x464c457fu
#define VERSION_MIN 0x020cu /* the first with xloadflags */
#define XLOAD_64 1u
#define LOADED_HIGH 1u
#define LOADER_UNKNOWN 0xffu
#define SECTOR 512u
#define LOW_END UINT64_C(0x9fc00) /* above: EBDA, ROMs, our tables */
#define ONE_MIB UINT64_C(0x100000)

static int check_kind(const uint8_t *head, size_t len, struct vhdx_err *e)
{
	if (len >= 4 && get_le32(head) == ELF_MAGIC)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "an ELF file (vmlinux); give the bzImage, which "
			       "distributions call vmlinuz");
	if (len >= 2 && head[0] == 0x1f && head[1] == 0x8b)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "compressed by gzip as a whole; give a bzImage");
	if (len < HDR_END_MIN || get_le16(head + HDR_BOOT_FLAG) != 0xaa55 ||
	    get_le32(head + HDR_MAGIC) != MAGIC)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "not a bzImage: no boot sector with \"HdrS\" at "
			       "offset 0x202");
	if (get_le16(head + HDR_VERSION) < VERSION_MIN)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "boot protocol %u.%02u; 2.12 (Linux 3.8) is the "
			       "oldest with a 64-bit entry",
			       head[HDR_VERSION + 1], head[HDR_VERSION]);
	if (!(get_le16(head + HDR_XLOADFLAGS) & XLOAD_64))
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "a 32-bit kernel; give one for x86-64");
	return 0;
}

static int check_sizes(const struct boot_head *h, uint64_t file_len,
		       struct vhdx_err *e)
{
	uint64_t end = h->code_off + h->code_len; /* both below 2^37 */

	if (h->setup_end < HDR_END_MIN)
		return err_corrupt(e, VHDX_OBJ_NONE, HDR_JUMP, NULL,
				   "the setup header ends at 0x%zx, at least "
				   "0x%x is expected",
				   h->setup_end, HDR_END_MIN);
	if (!h->code_len)
		return err_corrupt(e, VHDX_OBJ_NONE, HDR_SYSSIZE, NULL,
				   "the kernel's code has length 0");
	if (end > file_len)
		return err_corrupt(e, VHDX_OBJ_NONE, HDR_SYSSIZE, NULL,
				   "cut off: %llu bytes, its header promises "
				   "%llu; copy it again",
				   (unsigned long long)file_len,
				   (unsigned long long)end);
	if (!is_pow2(h->align) || h->align < GMEM_PAGE)
		return err_corrupt(e, VHDX_OBJ_NONE, HDR_ALIGN, NULL,
				   "kernel_alignment is 0x%llx, a power of two "
				   "from 0x1000 on is expected",
				   (unsigned long long)h->align);
	if (h->pref_gpa < ONE_MIB || !is_aligned(h->pref_gpa, GMEM_PAGE))
		return err_corrupt(e, VHDX_OBJ_NONE, HDR_PREF, NULL,
				   "pref_address is 0x%llx, whole pages from 1 "
				   "MiB on are expected",
				   (unsigned long long)h->pref_gpa);
	return 0;
}

int boot_head_decode(const uint8_t *head, size_t len, uint64_t file_len,
		     struct boot_head *h, struct vhdx_err *e)
{
	int rc = check_kind(head, len, e);
	unsigned sects;
	size_t end;

	if (rc)
		return rc;
	sects = head[HDR_SETUP_SECTS] ? head[HDR_SETUP_SECTS] : 4;
	h->code_off = (uint64_t)(sects + 1) * SECTOR;
	h->code_len = (uint64_t)get_le32(head + HDR_SYSSIZE) * 16;
	h->init_len = u64_max(get_le32(head + HDR_INIT_LEN), h->code_len);
	h->pref_gpa = get_le64(head + HDR_PREF);
	h->align = get_le32(head + HDR_ALIGN);
	h->initrd_last = get_le32(head + HDR_INITRD_LAST);
	h->cmdline_max = get_le32(head + HDR_CMDLINE_MAX);
	h->relocatable = head[HDR_RELOCATABLE] != 0;
	end = HDR_MAGIC + (size_t)head[HDR_JUMP];
	h->setup_end = end < HDR_END_MAX ? end : HDR_END_MAX;
	if (h->setup_end > len)
		h->setup_end = len;
	return check_sizes(h, file_len, e);
}

/* [gpa, gpa + len) is in memory. */
static bool fits(uint64_t gpa, uint64_t len, uint64_t low_len)
{
	return gpa <= low_len && len <= low_len - gpa;
}

static int place_kernel(const struct boot_head *h, uint64_t low_len,
			struct boot_plan *p, struct vhdx_err *e)
{
	uint64_t low = align_up(ONE_MIB, h->align);

	p->kernel_gpa = h->pref_gpa;
	if (fits(p->kernel_gpa, h->init_len, low_len))
		return 0;
	p->kernel_gpa = low;
	if (h->relocatable && fits(low, h->init_len, low_len))
		return 0;
	if (!h->relocatable)
		low = h->pref_gpa;
	return err_set(e, VHDX_E_NOMEM,
		       "the kernel needs %llu MiB of memory from address "
		       "0x%llx on, the machine has %llu MiB: give it more",
		       (unsigned long long)div_up(h->init_len, MIB),
		       (unsigned long long)low,
		       (unsigned long long)(low_len / MIB));
}

/* As high as it may be: below, the kernel has room to grow. */
static int place_initrd(const struct boot_head *h, uint64_t low_len,
			struct boot_plan *p, struct vhdx_err *e)
{
	uint64_t top = u64_min(low_len, h->initrd_last + 1);
	uint64_t kernel_end = p->kernel_gpa + h->init_len;

	p->initrd_gpa = 0;
	if (!p->initrd_len)
		return 0;
	if (p->initrd_len <= top) {
		p->initrd_gpa = align_down(top - p->initrd_len, GMEM_PAGE);
		if (p->initrd_gpa >= kernel_end)
			return 0;
	}
	return err_set(e, VHDX_E_NOMEM,
		       "the initrd of %llu MiB does not fit between the "
		       "kernel, which ends at %llu MiB, and %llu MiB: give the "
		       "machine more memory or take a smaller initrd",
		       (unsigned long long)div_up(p->initrd_len, MIB),
		       (unsigned long long)div_up(kernel_end, MIB),
		       (unsigned long long)(top / MIB));
}

int boot_plan(const struct boot_head *h, uint64_t low_len, uint64_t initrd_len,
	      size_t cmdline_len, struct boot_plan *p, struct vhdx_err *e)
{
	uint64_t max = u64_min(h->cmdline_max, BOOT_CMDLINE_MAX - 1);
	int rc;

	if (cmdline_len > max)
		return err_set(e, VHDX_E_INVAL,
			       "the kernel's command line has %zu characters, "
			       "this kernel takes at most %llu",
			       cmdline_len, (unsigned long long)max);
	p->initrd_len = initrd_len;
	rc = place_kernel(h, low_len, p, e);
	return rc ? rc : place_initrd(h, low_len, p, e);
}

static void e820_add(uint8_t *page, uint64_t from, uint64_t to, uint32_t type)
{
	uint8_t *entry = page + BP_E820 + E820_LEN * page[BP_E820_CNT];

	if (from >= to)
		return;
	put_le64(entry, from);
	put_le64(entry + 8, to - from);
	put_le32(entry + 16, type);
	page[BP_E820_CNT]++;
}

void boot_params(uint8_t *page, const uint8_t *head, const struct boot_head *h,
		 const struct boot_plan *p, uint64_t mem_len)
{
	uint64_t low_len = u64_min(mem_len, BOOT_LOW_MAX);

	memset(page, 0, GMEM_PAGE);
	memcpy(page + HDR_SETUP_SECTS, head + HDR_SETUP_SECTS,
	       h->setup_end - HDR_SETUP_SECTS);
	page[HDR_LOADER] = LOADER_UNKNOWN;
	page[HDR_LOADFLAGS] |= LOADED_HIGH;
	put_le32(page + HDR_CODE32, (uint32_t)p->kernel_gpa);
	put_le32(page + HDR_INITRD, (uint32_t)p->initrd_gpa);
	put_le32(page + HDR_INITRD_LEN, (uint32_t)p->initrd_len);
	put_le32(page + HDR_CMDLINE, (uint32_t)BOOT_CMDLINE_GPA);
	put_le64(page + HDR_SETUP_DATA, BOOT_SEED_GPA);
	put_le64(page + BP_RSDP, ACPI_GPA);
	e820_add(page, 0, LOW_END, E820_RAM);
	e820_add(page, LOW_END, ONE_MIB, E820_RESERVED);
	e820_add(page, ONE_MIB, low_len, E820_RAM);
	e820_add(page, BOOT_HIGH_GPA, BOOT_HIGH_GPA + (mem_len - low_len),
		 E820_RAM);
}
