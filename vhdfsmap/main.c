/* SPDX-License-Identifier: MIT */
/*
 * vhdfsmap: says which parts of a disk the file systems in it do not use. A
 * helper of `vhdtool compact --fs`, not for use by hand.
 *
 * The file system libraries read what a guest, perhaps a hostile one, has
 * written, and are licensed otherwise than the rest (libntfs-3g and libext2fs:
 * GPL 2, libblkid: LGPL 2.1). So they live in this program of its own, which
 * has no rights: it is shown the disk through a socket (fsmap_proto.h), and
 * before it sees the first byte it gives up everything but that socket, one
 * unnamed file of a few MiB, memory and time within limits (jail.c). At worst
 * it can lie, which is why what it says is no more than a list of ranges, and
 * why vhdtool checks it. The sources here are under the MIT licence like all
 * others; the program as built is under the GPL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "jail.h"
#include "parts.h"

static void look(struct part *p, int fd)
{
	const char *type;
	bool ntfs;

	tell_part(p);
	if (p->foreign) {
		tell_verdict("left alone: its partition type is not one of "
			     "plain file systems");
		return;
	}
	type = fs_probe(p, fd);
	ntfs = fs_has_ntfs(p);
	if (!type)
		tell_verdict("left alone: several kinds of content, or it "
			     "cannot be read");
	else if (ntfs && (!*type || strcmp(type, "ntfs") == 0))
		fs_ntfs(p);
	else if (!*type)
		tell_verdict("left alone: no file system known here");
	else if (strcmp(type, "ext2") == 0 || strcmp(type, "ext3") == 0 ||
		 strcmp(type, "ext4") == 0)
		fs_ext(p);
	else if (strcmp(type, "swap") == 0)
		fs_swap(p);
	else
		tell_verdict("left alone: %.40s", type);
}

int main(void)
{
	static struct part parts[FSMAP_PART_MAX];
	struct part whole = { .name = "the whole disk" };
	const char *why, *type;
	unsigned cnt;
	enum table table;
	int fd = jail_enter();

	disk_hello();
	whole.len = disk_len();
	table = parts_find(parts, FSMAP_PART_MAX, &cnt, &why);
	if (table == TABLE_NONE) {
		look(&whole, fd);
		tell_done();
		return 0;
	}
	type = fs_probe(&whole, fd);
	if (table == TABLE_BAD)
		tell_note("left alone: %s", why);
	else if (!type || *type)
		tell_note("left alone: it has a partition table and other "
			  "content (%.40s)", type ? type : "several");
	else
		for (unsigned i = 0; i < cnt; i++)
			look(&parts[i], fd);
	tell_done();
	return 0;
}
