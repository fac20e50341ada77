/* SPDX-License-Identifier: MIT */
/*
 * Starts a Linux kernel without firmware: the 64-bit entry of the x86 boot
 * protocol (Documentation/arch/x86/boot.rst). The files are the user's, so
 * they are checked like a guest's bytes; nothing here knows KVM.
 *
 * Low memory of the guest:
 *	0x1000	GDT
 *	0x2000	page tables: the first 4 GiB, one to one, in 2 MiB pages
 *	0x8000	boot_params ("zero page")
 *	0x9000	setup_data: a seed for the guest's random numbers
 *	0x10000	command line, at most 64 KiB
 *	0xe0000	ACPI tables (acpi.h)
 *	0xffff0	what a kernel jumps to that wants firmware to begin anew
 */
#ifndef BOOT_H
#define BOOT_H

#include "base.h"
#include "gmem.h"
#include "vhdx.h"

#define BOOT_GDT_GPA UINT64_C(0x1000)
#define BOOT_PAGES_GPA UINT64_C(0x2000)
#define BOOT_PARAMS_GPA UINT64_C(0x8000)
#define BOOT_SEED_GPA UINT64_C(0x9000)
#define BOOT_CMDLINE_GPA UINT64_C(0x10000)
#define BOOT_CMDLINE_MAX UINT64_C(0x10000)
#define BOOT_RESET_GPA UINT64_C(0xffff0)

/* Memory: from 0 up to here, then a hole for devices, the rest from 4 GiB. */
#define BOOT_LOW_MAX (3 * GIB)
#define BOOT_HIGH_GPA (4 * GIB)

/* The part of a bzImage that boot_head_decode() wants to see. */
#define BOOT_HEAD_LEN 4096u

struct boot_head { /* what a kernel says of itself */
	uint64_t code_off, code_len; /* in the file */
	uint64_t init_len;	     /* memory it needs from its load address */
	uint64_t pref_gpa, align;
	uint64_t initrd_last; /* highest address an initrd may touch */
	uint64_t cmdline_max; /* characters */
	bool relocatable;
	size_t setup_end; /* end of the setup header in the head */
};

struct boot_plan {
	uint64_t kernel_gpa, initrd_gpa, initrd_len;
};

struct boot_files {
	const char *kernel;
	const char *initrd, *cmdline; /* NULL allowed */
};

struct boot_start { /* registers of the first processor */
	uint64_t rip, rsi, rsp, cr3;
	uint64_t gdt_gpa;
	uint16_t gdt_len;
};

/* Selectors of that GDT. */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TSS 0x20u

/* head: the file's first len bytes; file_len: all of it. */
int boot_head_decode(const uint8_t *head, size_t len, uint64_t file_len,
		     struct boot_head *h, struct vhdx_err *e) must_check;

/* Where everything goes in memory of low_len bytes from 0. */
int boot_plan(const struct boot_head *h, uint64_t low_len, uint64_t initrd_len,
	      size_t cmdline_len, struct boot_plan *p, struct vhdx_err *e)
	must_check;

/* page: 4096 bytes. mem_len: all memory. */
void boot_params(uint8_t *page, const uint8_t *head, const struct boot_head *h,
		 const struct boot_plan *p, uint64_t mem_len);

/* Reads the files into the guest's memory, ACPI tables and all. */
int boot_load(const struct gmem *mem, uint64_t mem_len, unsigned cpu_cnt,
	      const struct boot_files *f, struct boot_start *start,
	      struct vhdx_err *e) must_check;

#endif
