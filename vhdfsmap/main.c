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

/* What is on the disk: does it say that its system is not in use? */
struct signs {
	bool clean; /* a file system that was unmounted */
	bool doubt; /* something that was not, or may not have been */
};

static bool is_ext(const char *type)
{
	return strcmp(type, "ext2") == 0 || strcmp(type, "ext3") == 0 ||
	       strcmp(type, "ext4") == 0;
}

/* All but swap, which is for later. */
static void look(struct part *p, int fd, struct signs *signs)
{
	const char *type = fs_probe(p, fd);
	bool ntfs = fs_has_ntfs(p), clean = false;

	p->swap = !p->foreign && type && !ntfs && strcmp(type, "swap") == 0;
	if (p->swap)
		return;
	tell_part(p);
	if (p->foreign) {
		tell_verdict("left alone: its partition type is not one of "
			     "plain file systems");
	} else if (!type) {
		tell_verdict("left alone: several kinds of content, or it "
			     "cannot be read");
	} else if (ntfs && (!*type || strcmp(type, "ntfs") == 0)) {
		clean = fs_ntfs(p);
		type = "ntfs";
	} else if (!*type) {
		tell_verdict("left alone: no file system known here");
	} else if (is_ext(type)) {
		clean = fs_ext(p);
	} else {
		tell_verdict("left alone: %.40s", type);
	}
	signs->clean |= clean;
	/* Systems do not live in the FAT that they boot from. */
	signs->doubt |= !clean &&
			(!type || (*type && strcmp(type, "vfat") != 0));
}

static void look_at_swap(struct part *p, const struct signs *signs)
{
	tell_part(p);
	fs_swap(p, signs->clean && !signs->doubt);
}

static void look_at_all(struct part *parts, unsigned cnt, int fd)
{
	struct signs signs = { 0 };

	for (unsigned i = 0; i < cnt; i++)
		look(&parts[i], fd, &signs);
	for (unsigned i = 0; i < cnt; i++)
		if (parts[i].swap)
			look_at_swap(&parts[i], &signs);
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
	type = table == TABLE_GOOD ? fs_probe(&whole, fd) : "";
	if (table == TABLE_NONE)
		look_at_all(&whole, 1, fd);
	else if (table == TABLE_BAD)
		tell_note("left alone: %s", why);
	else if (!type || *type)
		tell_note("left alone: it has a partition table and other "
			  "content (%.40s)", type ? type : "several");
	else
		look_at_all(parts, cnt, fd);
	tell_done();
	return 0;
}
