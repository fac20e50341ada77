/* SPDX-License-Identifier: MIT */
/*
 * Fills every n-th entry of a fresh image's BAT, without a disk's worth of
 * writing: fillbat FILE N data|zero. `data` gives each block a place of its own
 * behind the BAT, in a hole of the file; `zero` says that it reads as zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "header.h"
#include "layout.h"
#include "le.h"
#include "mem.h"

static int fill(struct file *f, const struct layout *l, uint64_t every,
		bool data, struct vhdx_err *e)
{
	uint64_t off = f->size, per_buf = MIB / 8;
	uint8_t *buf = mem_alloc(MIB);
	int rc = 0;

	for (uint64_t i = 0; !rc && i < l->geom.entry_cnt; i += per_buf) {
		uint64_t cnt = u64_min(per_buf, l->geom.entry_cnt - i);

		memset(buf, 0, MIB);
		for (uint64_t k = 0; k < cnt; k++) {
			uint64_t row = (i + k) / (l->geom.chunk_ratio + 1);

			if ((i + k + 1) % (l->geom.chunk_ratio + 1) == 0 ||
			    (i + k - row) % every)
				continue;
			put_le64(buf + 8 * k, data
				? bat_entry_make(BAT_FULLY_PRESENT, off)
				: bat_entry_make(BAT_ZERO, 0));
			off += data ? l->block_len : 0;
		}
		rc = file_write(f, l->bat_off + 8 * i, buf, cnt * 8, e);
	}
	mem_free(buf);
	return rc ? rc : file_truncate(f, off, e);
}

int main(int argc, char **argv)
{
	struct header_pair hdr;
	struct layout l;
	struct vhdx_err e;
	struct loop *loop;
	struct file *f;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: fillbat FILE N data|zero\n");
		return 2;
	}
	rc = loop_new(&loop, &e);
	if (!rc)
		rc = opener_default.open(&opener_default, loop, argv[1],
					 OPENER_WRITE, &f, &e);
	if (!rc)
		rc = header_load(f, &hdr, &e);
	if (!rc)
		rc = layout_load(f, &hdr.cur, &l, &e);
	if (!rc)
		rc = fill(f, &l, strtoull(argv[2], NULL, 10),
			  strcmp(argv[3], "data") == 0, &e);
	if (rc) {
		fprintf(stderr, "%s: %s\n", argv[1], e.text);
		return 1;
	}
	layout_free(&l);
	file_close(f);
	loop_free(loop);
	return 0;
}
