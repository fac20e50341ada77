/* SPDX-License-Identifier: MIT */
/*
 * What a part of the disk holds. The blkid library knows every signature that
 * there is, and says when two contradict each other; it wants a file. It gets
 * the part's first and last MiB one behind the other: that is where signatures
 * are, and the distance to the end keeps its remainder modulo 1 MiB.
 */
#include <blkid.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"

#define MIB (UINT64_C(1) << 20)
#define HEAD_LEN (2 * MIB)

static bool copy(struct part *p, uint64_t off, uint64_t len, int fd,
		 uint64_t to)
{
	static uint8_t buf[64 << 10];

	while (len) {
		uint64_t n = len < sizeof(buf) ? len : sizeof(buf);

		if (!part_read(p, off, buf, n) ||
		    pwrite(fd, buf, n, (off_t)to) != (ssize_t)n)
			return false;
		off += n;
		to += n;
		len -= n;
	}
	return true;
}

static const char *look(int fd, uint64_t len)
{
	static char type[64];
	blkid_probe pr = blkid_new_probe();
	const char *v;
	int rc;

	if (!pr)
		return NULL;
	type[0] = '\0';
	rc = blkid_probe_set_device(pr, fd, 0, (blkid_loff_t)len);
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE |
						      BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(pr, 0);
	if (!rc)
		rc = blkid_do_safeprobe(pr);
	if (!rc && !blkid_probe_lookup_value(pr, "TYPE", &v, NULL))
		strncpy(type, v, sizeof(type) - 1);
	blkid_free_probe(pr);
	return rc < 0 ? NULL : type;
}

const char *fs_probe(struct part *p, int fd)
{
	uint64_t tail_len = HEAD_LEN + p->len % MIB, head_len = HEAD_LEN;

	if (p->len <= HEAD_LEN + tail_len) {
		head_len = p->len;
		tail_len = 0;
	}
	if (ftruncate(fd, 0) || !copy(p, 0, head_len, fd, 0) ||
	    !copy(p, p->len - tail_len, tail_len, fd, head_len))
		return NULL;
	return look(fd, head_len + tail_len);
}

bool fs_has_ntfs(struct part *p)
{
	char b[512];

	return part_read(p, 0, b, 512) && memcmp(b + 3, "NTFS    ", 8) == 0;
}
