/* SPDX-License-Identifier: MIT */
/*
 * A kernel file with any content, in a machine of any size: refused with a
 * text, or placed inside memory, apart from the initrd, and described by a page
 * that says so.
 */
#include <string.h>

#include "boot.h"
#include "fuzz.h"
#include "le.h"

enum { SIZES = 16 }; /* two numbers before the file */

static void check_plan(const struct boot_head *h, const struct boot_plan *p,
		       uint64_t low_len, uint64_t initrd_len)
{
	ASSERT(h->code_len <= h->init_len);
	ASSERT(p->kernel_gpa >= MIB && p->kernel_gpa <= low_len);
	ASSERT(h->init_len <= low_len - p->kernel_gpa);
	ASSERT(p->initrd_len == initrd_len);
	if (!initrd_len)
		return;
	ASSERT(p->initrd_gpa >= p->kernel_gpa + h->init_len);
	ASSERT(p->initrd_gpa <= low_len);
	ASSERT(initrd_len <= low_len - p->initrd_gpa);
}

static void check_page(const uint8_t *page, uint64_t mem_len)
{
	enum { E820_CNT = 0x1e8, E820 = 0x2d0, ENTRY = 20, RAM = 1 };
	uint64_t end = 0, ram = 0;

	for (unsigned i = 0; i < page[E820_CNT]; i++) {
		const uint8_t *e = page + E820 + ENTRY * i;

		ASSERT(get_le64(e) >= end); /* in order, not overlapping */
		end = get_le64(e) + get_le64(e + 8);
		if (get_le32(e + 16) == RAM)
			ram += get_le64(e + 8);
	}
	ASSERT(ram <= mem_len && ram >= mem_len - MIB);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint64_t mem_len, low_len, initrd_len;
	uint8_t page[4096];
	struct boot_head h;
	struct boot_plan p;
	struct vhdx_err e;
	uint8_t head[BOOT_HEAD_LEN] = { 0 };

	if (len < SIZES)
		return 0;
	mem_len = (get_le64(data) % (64 * KIB) + 2) * MIB;
	low_len = u64_min(mem_len, BOOT_LOW_MAX);
	initrd_len = get_le64(data + 8);
	data += SIZES;
	len -= SIZES;
	memcpy(head, data, u64_min(len, sizeof(head)));
	if (boot_head_decode(head, u64_min(len, sizeof(head)), TIB, &h, &e) ||
	    boot_plan(&h, low_len, initrd_len, 10, &p, &e)) {
		ASSERT(e.text[0]);
		return 0;
	}
	check_plan(&h, &p, low_len, initrd_len);
	boot_params(page, head, &h, &p, mem_len);
	check_page(page, mem_len);
	return 0;
}
