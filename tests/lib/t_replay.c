/* SPDX-License-Identifier: MIT */
#include "t_replay.h"

#include <string.h>

#include "file_mem.h"
#include "t.h"

struct t_replay tr;

void tr_make_len(uint32_t log_len)
{
	T_OK(loop_new(&tr.loop, &t_err));
	T_OK(file_mem_new(tr.loop, "mem", NULL, &tr.f, &t_err));
	T_OK(file_truncate(tr.f, 16 * MIB, &t_err));
	t_log_init(&tr.lg, tr.f, TR_LOG_OFF, log_len);
}

void tr_make(void)
{
	tr_make_len(TR_LOG_LEN);
}

void tr_drop(void)
{
	replay_free(&tr.s);
	file_close(tr.f);
	loop_free(tr.loop);
}

int tr_scan(void)
{
	replay_free(&tr.s);
	return replay_scan(tr.f, &tr.lg.hdr, &tr.s, &t_err);
}

void tr_replay(void)
{
	T_OK(tr_scan());
	T_OK(replay_apply(tr.f, &tr.s, &t_err));
}

bool tr_page_is(uint64_t off, uint64_t fill)
{
	uint8_t page[4096], want[4096] = { 0 };

	T_OK(file_read(tr.f, off, page, sizeof(page), &t_err));
	if (fill)
		t_fill(want, sizeof(want), fill);
	return memcmp(page, want, sizeof(page)) == 0;
}

void tr_put_page(uint64_t off, uint64_t fill)
{
	uint8_t page[4096];

	t_fill(page, sizeof(page), fill);
	T_OK(file_write(tr.f, off, page, sizeof(page), &t_err));
}
