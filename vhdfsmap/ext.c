/* SPDX-License-Identifier: MIT */
/*
 * ext2, ext3, ext4 through libext2fs, which reads through an io_manager of
 * ours that can do nothing but that. Only what was unmounted cleanly, has no
 * journal to replay and no error recorded is believed; checksums are verified
 * where the file system has them. Where it has none the bitmap must at least
 * agree with what is counted elsewhere, and with where the file system's own
 * parts are: superblocks, descriptors, inode tables, journal, quota.
 */
#include <et/com_err.h>
#include <ext2fs/ext2fs.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"

static struct part *part; /* the one being looked at */

/* ---- an io_manager that only reads -------------------------------------- */

static errcode_t io_open(const char *name, int flags, io_channel *out)
{
	io_channel c = calloc(1, sizeof(*c));

	(void)flags;
	if (!c)
		return EXT2_ET_NO_MEMORY;
	c->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	c->name = strdup(name);
	c->block_size = 1024;
	c->refcount = 1;
	extern io_manager ext_io;
	c->manager = ext_io;
	*out = c;
	return 0;
}

static errcode_t io_close(io_channel c)
{
	if (--c->refcount > 0)
		return 0;
	free(c->name);
	free(c);
	return 0;
}

static errcode_t io_blksize(io_channel c, int len)
{
	c->block_size = len;
	return 0;
}

/* A negative count is one of bytes. */
static errcode_t io_read64(io_channel c, unsigned long long block, int cnt,
			   void *data)
{
	uint64_t size = (uint64_t)c->block_size;
	uint64_t len = cnt < 0 ? (uint64_t)-(int64_t)cnt : (uint64_t)cnt * size;
	uint64_t off;

	if (__builtin_mul_overflow(block, size, &off) ||
	    !part_read(part, off, data, len))
		return EXT2_ET_SHORT_READ;
	return 0;
}

static errcode_t io_read(io_channel c, unsigned long block, int cnt, void *data)
{
	return io_read64(c, block, cnt, data);
}

static errcode_t io_write64(io_channel c, unsigned long long block, int cnt,
			    const void *data)
{
	(void)c;
	(void)block;
	(void)cnt;
	(void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t io_write(io_channel c, unsigned long block, int cnt,
			  const void *data)
{
	return io_write64(c, block, cnt, data);
}

static errcode_t io_flush(io_channel c)
{
	(void)c;
	return 0;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "vhdfsmap",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
};
io_manager ext_io = &manager;

/* ---- may it be believed? ------------------------------------------------ */

/* Why not, or NULL. */
static const char *objection(ext2_filsys fs)
{
	const struct ext2_super_block *sb = fs->super;

	if (ext2fs_has_feature_journal_needs_recovery(fs->super))
		return "its journal has to be replayed first (mount it once)";
	if (sb->s_state & EXT2_ERROR_FS)
		return "it has errors recorded (run e2fsck)";
	if (!(sb->s_state & EXT2_VALID_FS))
		return "it was not unmounted cleanly (run e2fsck)";
	if (ext2fs_has_feature_journal_dev(fs->super))
		return "it is a journal device";
	if (ext2fs_has_feature_mmp(fs->super))
		return "it may be mounted elsewhere (MMP)";
	if (sb->s_last_orphan || ext2fs_has_feature_orphan_present(fs->super))
		return "it has orphaned files (run e2fsck)";
	if (sb->s_feature_ro_compat & ~EXT2_LIB_FEATURE_RO_COMPAT_SUPP)
		return "it has features unknown here";
	if (ext2fs_blocks_count(fs->super) > part->len / fs->blocksize)
		return "it is larger than its partition";
	return NULL;
}

/* ---- is the bitmap right? ------------------------------------------------ */

/* The next free blocks from *at on: [*at, *to). False: there are no more. */
static bool next_free(ext2_filsys fs, blk64_t *at, blk64_t *to)
{
	blk64_t end = ext2fs_blocks_count(fs->super);

	if (*at >= end ||
	    ext2fs_find_first_zero_block_bitmap2(fs->block_map, *at, end - 1,
						 at))
		return false;
	if (ext2fs_find_first_set_block_bitmap2(fs->block_map, *at, end - 1,
						to))
		*to = end;
	return true;
}

/* Free clusters of each group; NULL: no memory. */
static uint32_t *count_free(ext2_filsys fs)
{
	uint32_t *cnt = calloc(fs->group_desc_count, sizeof(*cnt));
	blk64_t at = fs->super->s_first_data_block, to;

	while (cnt && next_free(fs, &at, &to)) {
		while (at < to) {
			dgrp_t g = ext2fs_group_of_blk2(fs, at);
			blk64_t end = ext2fs_group_last_block2(fs, g) + 1;

			end = end < to ? end : to;
			cnt[g] += (uint32_t)EXT2FS_NUM_B2C(fs, end - at);
			at = end;
		}
	}
	return cnt;
}

/* What every group counts for itself, and the superblock for all. */
static bool counts_agree(ext2_filsys fs)
{
	uint32_t *cnt = count_free(fs);
	uint64_t sum = 0;
	bool good = cnt != NULL;

	for (dgrp_t g = 0; good && g < fs->group_desc_count; g++) {
		good = cnt[g] == ext2fs_bg_free_blocks_count(fs, g) &&
		       (!ext2fs_has_group_desc_csum(fs) ||
			ext2fs_group_desc_csum_verify(fs, g));
		sum += cnt[g];
	}
	free(cnt);
	return good && sum == EXT2FS_B2C(fs,
					 ext2fs_free_blocks_count(fs->super));
}

static int is_free(ext2_filsys fs, blk64_t *block, e2_blkcnt_t nr,
		   blk64_t ref_block, int ref_offset, void *any)
{
	(void)nr;
	(void)ref_block;
	(void)ref_offset;
	if (*block >= ext2fs_blocks_count(fs->super) ||
	    !ext2fs_test_block_bitmap2(fs->block_map, *block))
		*(bool *)any = true;
	return *(bool *)any ? BLOCK_ABORT : 0;
}

/* Journal, root folder, quota, bad blocks, room to grow. */
static bool own_files_are_used(ext2_filsys fs)
{
	bool any_free = false;

	for (ext2_ino_t i = 1; i < EXT2_FIRST_INODE(fs->super); i++) {
		struct ext2_inode inode;

		if (ext2fs_read_inode(fs, i, &inode))
			return false;
		if (i != EXT2_BAD_INO &&
		    !ext2fs_inode_has_valid_blocks2(fs, &inode))
			continue;
		if (ext2fs_block_iterate3(fs, i, BLOCK_FLAG_READ_ONLY, NULL,
					  is_free, &any_free) || any_free)
			return false;
	}
	return true;
}

/* Superblocks, descriptors, bitmaps, inode tables: marking them must change
 * nothing. */
static bool own_blocks_are_used(ext2_filsys fs)
{
	if (ext2fs_check_desc(fs))
		return false;
	for (dgrp_t g = 0; g < fs->group_desc_count; g++) {
		ext2fs_reserve_super_and_bgd(fs, g, fs->block_map);
		ext2fs_mark_block_bitmap2(fs->block_map,
					  ext2fs_block_bitmap_loc(fs, g));
		ext2fs_mark_block_bitmap2(fs->block_map,
					  ext2fs_inode_bitmap_loc(fs, g));
		ext2fs_mark_block_bitmap_range2(fs->block_map,
						ext2fs_inode_table_loc(fs, g),
						fs->inode_blocks_per_group);
	}
	return counts_agree(fs);
}

static bool bitmap_is_right(ext2_filsys fs)
{
	return !ext2fs_read_block_bitmap(fs) && counts_agree(fs) &&
	       own_files_are_used(fs) && own_blocks_are_used(fs) && !part->bad;
}

static uint64_t tell_free(ext2_filsys fs)
{
	blk64_t at = fs->super->s_first_data_block, to;
	uint64_t sum = 0;

	for (; next_free(fs, &at, &to); at = to) {
		tell_unused(part, at * fs->blocksize,
			    (to - at) * fs->blocksize);
		sum += (to - at) * fs->blocksize;
	}
	return sum;
}

static bool look(ext2_filsys fs)
{
	const char *why = objection(fs);
	uint64_t sum;

	if (why) {
		tell_verdict("ext: left alone, %s", why);
		return false;
	}
	if (!bitmap_is_right(fs)) {
		tell_verdict("ext: left alone, its block bitmap is damaged "
			     "(run e2fsck)");
		return false;
	}
	sum = tell_free(fs);
	tell_verdict("%s, clean; %llu of %llu MiB free",
		     ext2fs_has_feature_extents(fs->super) ? "ext4" :
		     ext2fs_has_feature_journal(fs->super) ? "ext3" : "ext2",
		     (unsigned long long)(sum >> 20),
		     (unsigned long long)(part->len >> 20));
	return true;
}

bool fs_ext(struct part *p)
{
	ext2_filsys fs;
	bool clean;

	part = p;
	if (ext2fs_open("part", EXT2_FLAG_64BITS, 0, 0, ext_io, &fs)) {
		tell_verdict("ext: left alone, it is damaged, or of a kind "
			     "unknown here");
		return false;
	}
	clean = look(fs);
	ext2fs_free(fs);
	return clean;
}
