/* SPDX-License-Identifier: MIT */
/*
 * Geometry of the BAT, [MS-VHDX] 2.4 and 2.5. The arguments have passed
 * layout.c: sizes up to 64 TiB, legal block and sector lengths; nothing here
 * can overflow.
 *
 * BAT entry, 2.5.1, 8 bytes (codec: bat_entry_*() in format.h)
 *	bits 0..2	state
 *	bits 3..19	reserved, 0
 *	bits 20..63	FileOffsetMB, so that entry & ~(1 MiB - 1) is in bytes
 *
 * After every chunk_ratio payload entries stands the entry of the bitmap block
 * that covers them, in files of every type.
 */
#include "format.h"

#define BITMAP_BITS (UINT64_C(1) << 23) /* of a 1 MiB bitmap block */

void bat_geom_init(struct bat_geom *g, uint64_t size_len, uint32_t block_len,
		   uint32_t sector_len, bool has_parent)
{
	uint64_t chunk_cnt;

	g->block_cnt = div_up(size_len, block_len);
	g->chunk_ratio = BITMAP_BITS * sector_len / block_len;
	chunk_cnt = div_up(g->block_cnt, g->chunk_ratio);
	if (has_parent)
		g->entry_cnt = chunk_cnt * (g->chunk_ratio + 1);
	else
		g->entry_cnt = g->block_cnt + (chunk_cnt ? chunk_cnt - 1 : 0);
}
