/* SPDX-License-Identifier: MIT */
#include "t_merge.h"

#include <string.h>

#include "t.h"

struct t_merge tm;

static void on_file(void *arg, const struct vhdx_merge_file *f)
{
	(void)arg;
	tm.told[f->role]++;
	tm.told_len += f->data_len + f->zero_len;
}

void tm_begin(void)
{
	t_chain_begin(&tm.c, NULL);
	tm.want = malloc(T_CHAIN_LEN);
	tm.got = malloc(T_CHAIN_LEN);
	memset(&tm.opts, 0, sizeof(tm.opts));
	memset(tm.told, 0, sizeof(tm.told));
	memset(tm.others, 0, sizeof(tm.others));
	tm.told_len = 0;
	tm.opts.file = on_file;
	tm.opts.children = tm.others;
}

void tm_end(void)
{
	t_chain_end(&tm.c);
	free(tm.want);
	free(tm.got);
}

void tm_fill_layer(const char *path, uint64_t n)
{
	t_chain_write(&tm.c, path, 4096 * n, 6000 / 512 * 512, n);
	t_chain_write(&tm.c, path, MIB - 1024 * n, 2048 * n, n + 10);
	t_chain_write(&tm.c, path, 2 * MIB + 65536 * n, 65536, n + 20);
	t_chain_zero(&tm.c, path, 2 * MIB + 30000 / 512 * 512 * n, 512 * n);
}

void tm_make_chain(unsigned cnt)
{
	static const char *const names[] = { "/m/base", "/m/one", "/m/two" };

	t_chain_create(&tm.c, "/m/base", NULL, MIB, T_CHAIN_LEN);
	tm_fill_layer("/m/base", 1);
	for (unsigned i = 1; i <= cnt; i++) {
		const char *path = i == cnt ? "/m/leaf" : names[i];

		t_chain_create(&tm.c, path, names[i - 1],
			       i == 2 ? 2 * MIB : MIB, T_CHAIN_LEN);
		tm_fill_layer(path, i + 1);
	}
	t_chain_zero(&tm.c, "/m/leaf", 3 * MIB, MIB);
	T_OK(t_chain_read(&tm.c, "/m/leaf", tm.want));
}

int tm_merge_of(const char *child)
{
	for (tm.opts.children_cnt = 0; tm.others[tm.opts.children_cnt];)
		tm.opts.children_cnt++;
	return merge_chain(&tm.c.oc.opener, tm.c.loop, child, &tm.opts,
			   &tm.res, &t_err);
}

int tm_merge(void)
{
	return tm_merge_of("/m/leaf");
}

void tm_shows(const char *path)
{
	T_OK(t_chain_read(&tm.c, path, tm.got));
	T_TRUE(memcmp(tm.got, tm.want, T_CHAIN_LEN) == 0);
}

void tm_note(void *arg, const char *text)
{
	snprintf(arg, 512, "%s", text);
}
