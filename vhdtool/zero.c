/* SPDX-License-Identifier: MIT */
/*
 * Finding zeros at memory speed. If the first 16 bytes are zero and every
 * byte equals the one 16 further on, all are zero; memcmp() is the C library's
 * best vector loop, and it stops at the first difference, so data costs next
 * to nothing.
 */
#include <string.h>

#include "copy.h"

bool copy_is_zero(const uint8_t *buf, uint64_t len)
{
	uint64_t head = len < 16 ? len : 16;
	for (uint64_t i = 0; i < head; i++) {
		if (buf[i])
			return false;
	}
	return len <= 16 || memcmp(buf, buf + 16, len - 16) == 0;
}

static uint64_t grain_len(uint64_t pos, uint64_t len)
{
	return len - pos < COPY_GRAIN ? len - pos : COPY_GRAIN;
}

bool copy_next_run(const uint8_t *buf, uint64_t len, uint64_t *pos,
		   uint64_t *run_len)
{
	uint64_t at = *pos;
	while (at < len && copy_is_zero(buf + at, grain_len(at, len)))
		at += grain_len(at, len);
	*pos = at;
	while (at < len && !copy_is_zero(buf + at, grain_len(at, len)))
		at += grain_len(at, len);
	*run_len = at - *pos;
	return *run_len > 0;
}
