/* SPDX-License-Identifier: MIT */
/*
 * Swap space of a system that is not running holds nothing: all but its first
 * page, which has the header. (With a hibernated system in it the blkid library
 * calls it by another name.) Of a virtual machine whose state was saved it
 * holds a part of that state, and does not say so; then the machine's file
 * systems are not in order.
 */
#include <string.h>

#include "fs.h"

void fs_swap(struct part *p, bool idle)
{
	static const uint32_t pages[] = { 4096, 8192, 16384, 32768, 65536 };
	char magic[10];

	if (!idle) {
		tell_verdict("swap: left alone, its system may be in use: no "
			     "clean file system, or others too, on this disk");
		return;
	}
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		uint32_t page = pages[i];

		if (p->len <= page || !part_read(p, page - 10, magic, 10) ||
		    memcmp(magic, "SWAPSPACE2", 10) != 0)
			continue;
		tell_unused(p, page, p->len - page);
		tell_verdict("swap");
		return;
	}
	tell_verdict("swap of an unknown kind: left alone");
}
