/* SPDX-License-Identifier: MIT */
/* In a file of its own: <linux/stat.h> and <sys/stat.h> exclude each other. */
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_direct.h"

void dioalign_find(int fd, uint32_t *mem_align, uint32_t *off_align)
{
	*mem_align = *off_align = 4096;
#if defined(STATX_DIOALIGN) && defined(SYS_statx)
	struct statx st;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) ||
	    !(st.stx_mask & STATX_DIOALIGN) || !st.stx_dio_offset_align)
		return;
	*mem_align = st.stx_dio_mem_align;
	*off_align = st.stx_dio_offset_align;
#endif
}
