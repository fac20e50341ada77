/* SPDX-License-Identifier: MIT */
#include "t_vhd1.h"

#include <errno.h>
#include <string.h>

#include "le.h"
#include "t.h"

struct t_vhd1 tv;

void tv_create(uint64_t size_len, uint32_t block_len)
{
	struct vhdx_create_opts o = {
		.format = VHDX_FORMAT_VHD,
		.type = block_len ? VHDX_TYPE_DYNAMIC : VHDX_TYPE_FIXED,
		.type_given = true,
		.size_len = size_len,
		.block_len = block_len,
		.sector_len = 512,
		.physical_sector_len = 512,
	};
	struct file *f;

	T_OK(loop_new(&tv.loop, &t_err));
	T_OK(file_mem_new(tv.loop, "disk.vhd", &tv.disk, &f, &t_err));
	T_OK(vhd1_image_create(f, &o, &t_err));
	file_close(f);
}

static void keep_msg(void *arg, const char *text)
{
	size_t used = strlen(tv.msg);

	(void)arg;
	snprintf(tv.msg + used, sizeof(tv.msg) - used, "%s; ", text);
}

int tv_try_open(unsigned flags)
{
	struct image_open_opts o = { .flags = flags, .msg = keep_msg };
	struct image *img;
	struct file *f;

	tv.msg[0] = '\0';
	T_OK(file_mem_new(tv.loop, "disk.vhd", &tv.disk, &f, &t_err));
	f->writable = flags & VHDX_OPEN_WRITE;
	T_OK(file_fault_new(f, &tv.fault, &t_err));
	T_OK(file_trace_new(&tv.fault->w.file, &tv.trace, &t_err));
	int rc = vhd1_image_open(&tv.trace->w.file, &o, &img, &t_err);
	if (rc) {
		file_close(&tv.trace->w.file);
		return rc;
	}
	T_OK(blk_new(img, tv.loop, false, &tv.blk, &t_err));
	return 0;
}

void tv_open(unsigned flags)
{
	T_OK(tv_try_open(flags));
}

void tv_begin(uint64_t size_len, uint32_t block_len)
{
	tv_create(size_len, block_len);
	tv_open(VHDX_OPEN_WRITE);
}

void tv_close(void)
{
	T_OK(vhdx_blk_close(tv.blk, &t_err));
}

void tv_crash(void)
{
	struct memimg kept;

	memimg_clone(&kept, &tv.disk);
	(void)vhdx_blk_close(tv.blk, NULL);
	memimg_free(&tv.disk);
	tv.disk = kept;
}

void tv_end(void)
{
	loop_free(tv.loop);
	memimg_free(&tv.disk);
	memset(&tv, 0, sizeof(tv));
}

void tv_put(uint64_t voff, uint64_t seed)
{
	uint8_t buf[4096];

	t_fill(buf, sizeof(buf), seed + voff);
	T_OK(vhdx_blk_write(tv.blk, voff, buf, sizeof(buf), &t_err));
}

bool tv_has(uint64_t voff, uint64_t seed)
{
	uint8_t buf[4096], want[4096];

	t_fill(want, sizeof(want), seed + voff);
	T_OK(vhdx_blk_read(tv.blk, voff, buf, sizeof(buf), &t_err));
	return memcmp(buf, want, sizeof(buf)) == 0;
}

bool tv_zero(uint64_t voff, size_t len)
{
	uint8_t buf[65536];

	memset(buf, 1, sizeof(buf));
	T_OK(vhdx_blk_read(tv.blk, voff, buf, len, &t_err));
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

void tv_peek(uint64_t off, void *buf, size_t len)
{
	memimg_read(&tv.disk, off, buf, len);
}

void tv_poke(uint64_t off, const void *buf, size_t len)
{
	memimg_write(&tv.disk, off, buf, len);
}

void tv_fail_next(unsigned ops, uint64_t nth, int sys_errno)
{
	fault_set(tv.fault, (struct fault_rule){ ops, nth, sys_errno, false,
						 FAULT_NOTHING });
}

void tv_put_without_growth(uint64_t voff)
{
	tv_fail_next(1u << FILE_WRITE, 1, ENOSPC);
	tv_put(voff, 1);
}

void tv_with_data(void)
{
	tv_begin(64 * MIB, (uint32_t)(2 * MIB));
	tv_put(0, 1);
	tv_put(10 * MIB, 1);
	tv_close();
}

void tv_expect_data(void)
{
	T_TRUE(tv_has(0, 1) && tv_has(10 * MIB, 1) && tv_zero(2 * MIB, 4096));
}

uint32_t tv_bat(uint32_t blk)
{
	uint8_t b[4];

	tv_peek(TV_BAT_OFF + 4 * blk, b, sizeof(b));
	return get_be32(b);
}

void tv_bat_set(uint32_t blk, uint32_t sector)
{
	uint8_t b[4];

	put_be32(b, sector);
	tv_poke(TV_BAT_OFF + 4 * blk, b, sizeof(b));
}

bool tv_footer_at(uint64_t off)
{
	uint8_t b[VHD1_FOOTER_LEN];
	struct vhd1_footer f;

	tv_peek(off, b, sizeof(b));
	return vhd1_footer_decode(b, off, &f, NULL) == 0;
}

void tv_edit_footer(uint64_t off, void (*edit)(struct vhd1_footer *))
{
	uint8_t b[VHD1_FOOTER_LEN];
	struct vhd1_footer f;

	tv_peek(off, b, sizeof(b));
	T_OK(vhd1_footer_decode(b, off, &f, &t_err));
	edit(&f);
	vhd1_footer_encode(&f, b);
	tv_poke(off, b, sizeof(b));
}

void tv_reseal_header(void)
{
	uint8_t b[VHD1_HEADER_LEN];

	tv_peek(512, b, sizeof(b));
	put_be32(b + 36, vhd1_checksum(b, sizeof(b), 36));
	tv_poke(512, b, sizeof(b));
}

uint64_t tv_sum(void)
{
	uint64_t sum = tv.disk.size;
	uint8_t b[4096];

	for (uint64_t off = 0; off < tv.disk.size; off += sizeof(b)) {
		tv_peek(off, b, sizeof(b));
		for (size_t i = 0; i < sizeof(b); i++)
			sum = sum * 31 + b[i];
	}
	return sum;
}
