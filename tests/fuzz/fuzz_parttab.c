/* SPDX-License-Identifier: MIT */
/*
 * Partition tables: any bytes of a disk give an answer, and the same one again,
 * and whatever is listed is on the disk.
 * The first byte chooses the sector size and how far the disk goes on, in
 * zeros.
 */
#include "fuzz.h"

#include <string.h>

#include "parttab.h"

struct input {
	const uint8_t *data;
	size_t len;
};

static int read_input(void *arg, uint64_t off, void *buf, size_t len,
		      struct vhdx_err *e)
{
	const struct input *in = arg;
	uint64_t n = off < in->len ? u64_min(len, in->len - off) : 0;

	(void)e;
	memset(buf, 0, len);
	if (n)
		memcpy(buf, in->data + off, n);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct parttab a, b;
	struct input in;
	uint32_t sector_len;
	uint64_t size;

	if (len < 2 || len > MIB)
		return 0;
	in = (struct input){ data + 1, len - 1 };
	sector_len = data[0] & 1 ? 4096 : 512;
	size = align_up(in.len, sector_len);
	if (data[0] & 2)
		size <<= 20;
	ASSERT(parttab_load(read_input, &in, size, sector_len, &a, NULL) == 0);
	ASSERT(parttab_load(read_input, &in, size, sector_len, &b, NULL) == 0);
	ASSERT(a.kind == b.kind && a.end_len == b.end_len);
	ASSERT(a.part_cnt == b.part_cnt);
	for (unsigned i = 0; i < a.part_cnt; i++) {
		uint64_t off = a.parts[i].off;

		ASSERT(off == b.parts[i].off && off < size && a.parts[i].len &&
		       a.parts[i].len <= size - off);
	}
	ASSERT(a.kind != VHDX_TABLE_GPT || a.min_len >= a.end_len);
	return 0;
}
