/* SPDX-License-Identifier: MIT */
/*
 * NTFS through libntfs-3g, which reads through device operations of ours that
 * can do nothing but that. Only a volume that Windows has left in order is
 * believed: not dirty, no hibernated or half shut down system in it, $LogFile
 * clean, no shadow copies; and $Bitmap must have what the volume's own files
 * are in as used.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* The headers below expect what the library's own configure found. */
#define HAVE_STDARG_H 1
#define HAVE_STDIO_H 1
#define HAVE_STDINT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_TIME_H 1
#include <ntfs-3g/device.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/logfile.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/volume.h>

#include "fs.h"

#define BUF_LEN (64u << 10)

static struct part *part; /* the one being looked at */
static s64 position;

/* ---- a device that only reads ------------------------------------------- */

static int dev_open(struct ntfs_device *dev, int flags)
{
	(void)flags;
	NDevSetOpen(dev);
	NDevSetReadOnly(dev);
	position = 0;
	return 0;
}

static int dev_close(struct ntfs_device *dev)
{
	NDevClearOpen(dev);
	return 0;
}

static s64 dev_seek(struct ntfs_device *dev, s64 off, int whence)
{
	s64 base = whence == SEEK_CUR ? position
		 : whence == SEEK_END ? (s64)part->len : 0;
	s64 to;

	(void)dev;
	if (__builtin_add_overflow(base, off, &to) || to < 0 ||
	    (uint64_t)to > part->len) {
		errno = EINVAL;
		return -1;
	}
	position = to;
	return to;
}

/* Up to the end of the part. */
static s64 dev_pread(struct ntfs_device *dev, void *buf, s64 cnt, s64 off)
{
	uint64_t left;

	(void)dev;
	if (off < 0 || cnt < 0) {
		errno = EINVAL;
		return -1;
	}
	if ((uint64_t)off >= part->len)
		return 0;
	left = part->len - (uint64_t)off;
	if ((uint64_t)cnt > left)
		cnt = (s64)left;
	if (part_read(part, (uint64_t)off, buf, (uint64_t)cnt))
		return cnt;
	errno = EIO;
	return -1;
}

static s64 dev_read(struct ntfs_device *dev, void *buf, s64 cnt)
{
	s64 n = dev_pread(dev, buf, cnt, position);

	if (n > 0)
		position += n;
	return n;
}

static s64 dev_write(struct ntfs_device *dev, const void *buf, s64 cnt)
{
	(void)dev;
	(void)buf;
	(void)cnt;
	errno = EROFS;
	return -1;
}

static s64 dev_pwrite(struct ntfs_device *dev, const void *buf, s64 cnt,
		      s64 off)
{
	(void)off;
	return dev_write(dev, buf, cnt);
}

static int dev_sync(struct ntfs_device *dev)
{
	(void)dev;
	return 0;
}

static int dev_stat(struct ntfs_device *dev, struct stat *st)
{
	(void)dev;
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFREG | 0400;
	st->st_size = (off_t)part->len;
	return 0;
}

static int dev_ioctl(struct ntfs_device *dev, unsigned long request, void *arg)
{
	(void)dev;
	(void)request;
	(void)arg;
	errno = EOPNOTSUPP;
	return -1;
}

static struct ntfs_device_operations ops = {
	.open = dev_open,
	.close = dev_close,
	.seek = dev_seek,
	.read = dev_read,
	.write = dev_write,
	.pread = dev_pread,
	.pwrite = dev_pwrite,
	.sync = dev_sync,
	.stat = dev_stat,
	.ioctl = dev_ioctl,
};

/* ---- may it be believed? ------------------------------------------------ */

static bool log_is_clean(ntfs_volume *vol)
{
	RESTART_PAGE_HEADER *rp = NULL;
	ntfs_inode *ni = ntfs_inode_open(vol, FILE_LogFile);
	ntfs_attr *na = NULL;
	bool clean = false;

	if (ni)
		na = ntfs_attr_open(ni, AT_DATA, AT_UNNAMED, 0);
	if (na)
		clean = ntfs_check_logfile(na, &rp) &&
			ntfs_is_logfile_clean(na, rp);
	free(rp);
	if (na)
		ntfs_attr_close(na);
	if (ni)
		ntfs_inode_close(ni);
	return clean;
}

/* hiberfil.sys begins with zeros, or with "wake" when it has been resumed from;
 * else ("hibr", "RSTR") Windows means to go on from it, and has every volume
 * mounted. Not open to a folder, or anything else that is no file. */
static bool is_hibernated(ntfs_volume *vol)
{
	static const char names[][4] = { "", "wake", "WAKE" };
	ntfs_inode *ni = ntfs_pathname_to_inode(vol, NULL, "hiberfil.sys");
	ntfs_attr *na;
	char head[4];
	bool awake = false;

	if (!ni)
		return errno != ENOENT;
	na = ntfs_attr_open(ni, AT_DATA, AT_UNNAMED, 0);
	if (na && ntfs_attr_pread(na, 0, 4, head) == 4)
		for (int i = 0; i < 3; i++)
			awake |= memcmp(head, names[i], 4) == 0;
	if (na)
		ntfs_attr_close(na);
	ntfs_inode_close(ni);
	return !awake;
}

/* Shadow copies (restore points) read what has not changed since from where it
 * was, be it free by now: to them free clusters are not unused. Their catalog
 * is found by a header in the boot area; entries of the types 2 and 3 are
 * copies. What is not understood counts as one. */
static bool has_shadow_copies(void)
{
	static const uint8_t id[16] = { 0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1,
					0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04,
					0x6e, 0x6c, 0xc7, 0x52 };
	static uint8_t b[16384];
	uint64_t at, type;

	if (!part_read(part, 0x1e00, b, 512))
		return true;
	if (memcmp(b, id, 16) != 0)
		return false;
	memcpy(&at, b + 48, 8);
	for (unsigned n = 0; at; n++) {
		if (n == 1024 || !part_read(part, at, b, sizeof(b)) ||
		    memcmp(b, id, 16) != 0 || b[20] != 2)
			return true;
		for (size_t i = 128; i < sizeof(b); i += 128) {
			memcpy(&type, b + i, 8);
			if (type > 1)
				return true;
		}
		memcpy(&at, b + 40, 8);
	}
	return false;
}

/* Why not, or NULL. */
static const char *objection(ntfs_volume *vol)
{
	if (vol->flags & VOLUME_IS_DIRTY)
		return "it is marked dirty (let Windows check it)";
	if (vol->flags & VOLUME_MODIFIED_BY_CHKDSK)
		return "chkdsk is not through with it";
	if (ntfs_volume_check_hiberfile(vol, 0) < 0 || is_hibernated(vol))
		return "Windows is hibernated in it, or was not shut down";
	if (!log_is_clean(vol))
		return "its $LogFile is not clean (let Windows mount it)";
	if (has_shadow_copies())
		return "it has shadow copies, or restore points (delete them "
		       "in Windows first)";
	if ((uint64_t)vol->nr_clusters > part->len / vol->cluster_size)
		return "it is larger than its partition";
	return NULL;
}

/* ---- $Bitmap ------------------------------------------------------------ */

struct run {
	uint64_t from, to; /* clusters */
	uint64_t sum;
	uint64_t cluster_len;
};

static void flush_run(struct run *r)
{
	uint64_t cnt = r->to - r->from;

	if (cnt)
		tell_unused(part, r->from * r->cluster_len,
			    cnt * r->cluster_len);
	r->sum += cnt;
}

static void take_byte(struct run *r, uint64_t first, uint8_t b, uint64_t end)
{
	for (unsigned i = 0; i < 8 && first + i < end; i++) {
		if (b >> i & 1)
			continue;
		if (r->to != first + i) {
			flush_run(r);
			r->from = first + i;
		}
		r->to = first + i + 1;
	}
}

/* All of it is read before a word is said: half a bitmap is none. */
static uint8_t *read_bitmap(ntfs_volume *vol, uint64_t len)
{
	uint8_t *map = malloc(len);
	uint64_t at = 0;

	while (map && at < len) {
		s64 n = len - at < BUF_LEN ? (s64)(len - at) : BUF_LEN;

		if (ntfs_attr_pread(vol->lcnbmp_na, (s64)at, n, map + at) !=
		    n) {
			free(map);
			return NULL;
		}
		at += (uint64_t)n;
	}
	return map;
}

static bool runs_are_used(ntfs_volume *vol, const runlist_element *rl,
			  const uint8_t *map)
{
	for (; rl->length; rl++) {
		if (rl->lcn < 0)
			continue;
		if (rl->length > vol->nr_clusters ||
		    rl->lcn > vol->nr_clusters - rl->length)
			return false;
		for (s64 c = rl->lcn; c < rl->lcn + rl->length; c++)
			if (!(map[c / 8] >> c % 8 & 1))
				return false;
	}
	return true;
}

static bool attr_is_used(ntfs_volume *vol, const ATTR_RECORD *a,
			 const uint8_t *map)
{
	runlist_element *rl;
	bool used;

	if (!a->non_resident)
		return true;
	rl = ntfs_mapping_pairs_decompress(vol, a, NULL);
	used = rl && runs_are_used(vol, rl, map);
	free(rl);
	return used;
}

/* $MFT, its mirror, $LogFile, $Bitmap itself and so on: records 0 to 11. */
static bool own_files_are_used(ntfs_volume *vol, const uint8_t *map)
{
	bool used = true;

	for (MFT_REF nr = FILE_MFT; used && nr <= FILE_Extend; nr++) {
		ntfs_inode *ni = ntfs_inode_open(vol, nr);
		ntfs_attr_search_ctx *ctx =
			ni ? ntfs_attr_get_search_ctx(ni, NULL) : NULL;

		used = ctx != NULL;
		while (used && ntfs_attrs_walk(ctx) == 0)
			used = attr_is_used(vol, ctx->attr, map);
		used = used && errno == ENOENT;
		if (ctx)
			ntfs_attr_put_search_ctx(ctx);
		if (ni)
			ntfs_inode_close(ni);
	}
	return used;
}

static bool tell_free(ntfs_volume *vol)
{
	uint64_t end = (uint64_t)vol->nr_clusters;
	uint64_t len = end / 8 + (end % 8 != 0);
	struct run r = { .cluster_len = vol->cluster_size };
	uint8_t *map = read_bitmap(vol, len);

	if (!map || part->bad || !own_files_are_used(vol, map)) {
		free(map);
		tell_verdict("NTFS: left alone, its $Bitmap is damaged (let "
			     "Windows check it)");
		return false;
	}
	for (uint64_t i = 0; i < len; i++)
		take_byte(&r, i * 8, map[i], end);
	flush_run(&r);
	free(map);
	tell_verdict("NTFS, clean; %llu of %llu MiB free",
		     (unsigned long long)(r.sum * r.cluster_len >> 20),
		     (unsigned long long)(part->len >> 20));
	return true;
}

bool fs_ntfs(struct part *p)
{
	struct ntfs_device *dev;
	ntfs_volume *vol = NULL;
	const char *why;

	part = p;
	ntfs_log_set_handler(ntfs_log_handler_null);
	dev = ntfs_device_alloc("part", 0, &ops, NULL);
	if (dev)
		vol = ntfs_device_mount(dev, NTFS_MNT_RDONLY);
	if (!vol) {
		tell_verdict("NTFS: left alone, it is damaged, or of a kind "
			     "unknown here");
		return false;
	}
	why = objection(vol);
	/* Nothing is unmounted: the process is about to end, or to go on with
	 * the next one, and unmounting would only give damage a say. */
	if (!why)
		return tell_free(vol);
	tell_verdict("NTFS: left alone, %s", why);
	return false;
}
