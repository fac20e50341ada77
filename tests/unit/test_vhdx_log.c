/* SPDX-License-Identifier: MIT */
/* The log of real files, through vhdx.h. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "damage.h"
#include "header.h"
#include "t.h"

#define TWO_ENTRIES \
	"create\ndirty 7\n" \
	"entry 1020K seq=5 bat=1:0x3 zero=bat+8K:64K\n" \
	"entry 4K seq=6 tail=1020K bat=2:0x2 last=7M\n"

static char path[256];

static void make(const char *script)
{
	struct damage d;
	struct loop *l;
	struct file *f;

	snprintf(path, sizeof(path), "%s/disk.vhdx", t_tmpdir());
	T_OK(loop_new(&l, &t_err));
	T_OK(opener_default.open(&opener_default, l, path,
				 OPENER_WRITE | OPENER_CREATE, &f, &t_err));
	T_OK(damage_begin(&d, f, &t_err));
	T_OK(damage_run(&d, script, &t_err));
	file_close(f);
	loop_free(l);
}

static void headers(struct header_pair *p)
{
	struct loop *l;
	struct file *f;

	T_OK(loop_new(&l, &t_err));
	T_OK(opener_default.open(&opener_default, l, path, 0, &f, &t_err));
	T_OK(header_load(f, p, &t_err));
	file_close(f);
	loop_free(l);
}

static struct {
	unsigned entry_cnt, desc_cnt;
	struct vhdx_log_entry entry[4];
	struct vhdx_log_desc desc[4];
} seen;

static void on_entry(void *arg, const struct vhdx_log_entry *n)
{
	(void)arg;
	seen.entry[seen.entry_cnt++] = *n;
}

static void on_desc(void *arg, const struct vhdx_log_desc *d)
{
	(void)arg;
	seen.desc[seen.desc_cnt++] = *d;
}

static void show_tells_entries_from_tail_to_head(void)
{
	struct vhdx_log_state s;

	memset(&seen, 0, sizeof(seen));
	make(TWO_ENTRIES);
	T_OK(vhdx_log_show(path, on_entry, on_desc, NULL, &s, &t_err));
	T_TRUE(s.dirty && s.valid && s.log_guid[0] == 7);
	T_EQ_U64(s.entry_cnt, 2);
	T_EQ_U64(s.log_off, MIB);
	T_EQ_U64(seen.entry_cnt, 2);
	T_EQ_U64(seen.entry[0].off, 1020 * KIB);
	T_EQ_U64(seen.entry[0].seq, 5);
	T_EQ_U64(seen.entry[1].tail_off, 1020 * KIB);
	T_EQ_U64(seen.entry[1].last_len, 7 * MIB);
	T_EQ_U64(seen.desc_cnt, 3);
	T_TRUE(seen.desc[1].zero && seen.desc[1].len == 64 * KIB);
	T_EQ_U64(seen.desc[2].len, 4096);
}

static void show_of_a_clean_log_has_no_entries(void)
{
	struct vhdx_log_state s;

	memset(&seen, 0, sizeof(seen));
	make("create\nentry 0 seq=4 bat=1:2");
	T_OK(vhdx_log_show(path, on_entry, on_desc, NULL, &s, &t_err));
	T_TRUE(!s.dirty && s.entry_cnt == 0 && seen.entry_cnt == 0);
	T_EQ_U64(s.log_len, MIB);
}

static void show_fills_the_state_of_a_log_beyond_replay(void)
{
	struct vhdx_log_state s;

	make("create\ndirty 7");
	T_FAILS(vhdx_log_show(path, NULL, NULL, NULL, &s, &t_err),
		VHDX_E_CORRUPT, "");
	T_TRUE(s.dirty && !s.valid && s.log_len == MIB);
}

static void show_changes_nothing(void)
{
	struct stat before, after;

	make(TWO_ENTRIES);
	T_TRUE(chmod(path, 0444) == 0 && stat(path, &before) == 0);
	T_OK(vhdx_log_show(path, NULL, NULL, NULL, NULL, &t_err));
	T_TRUE(stat(path, &after) == 0);
	T_EQ_U64(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

static void replay_counts_entries_once(void)
{
	uint64_t entries;

	make(TWO_ENTRIES);
	T_OK(vhdx_log_replay(path, &entries, &t_err));
	T_EQ_U64(entries, 2);
	T_OK(vhdx_log_replay(path, &entries, &t_err));
	T_EQ_U64(entries, 0);
}

/* Trap 3: a child's link to this file must survive. */
static void replay_keeps_the_data_write_guid(void)
{
	struct header_pair a, b;

	make(TWO_ENTRIES);
	headers(&a);
	T_OK(vhdx_log_replay(path, NULL, &t_err));
	headers(&b);
	T_TRUE(guid_eq(&a.cur.data_write, &b.cur.data_write));
	T_TRUE(!guid_eq(&a.cur.file_write, &b.cur.file_write));
}

static void replay_grows_the_file_to_its_last_structure(void)
{
	struct stat st;

	make(TWO_ENTRIES);
	T_OK(vhdx_log_replay(path, NULL, &t_err));
	T_TRUE(stat(path, &st) == 0);
	T_EQ_U64(st.st_size, 7 * MIB);
}

static void discard_cleans_both_headers_and_tells_the_children(void)
{
	struct header_pair a, b;

	make(TWO_ENTRIES "flip log+4100");
	headers(&a);
	T_OK(vhdx_log_discard(path, &t_err));
	headers(&b);
	T_TRUE(guid_is_zero(&b.copy[0].log) && guid_is_zero(&b.copy[1].log));
	T_TRUE(!guid_eq(&a.cur.data_write, &b.cur.data_write));
	T_TRUE(!guid_eq(&a.cur.file_write, &b.cur.file_write));
	T_OK(vhdx_log_show(path, NULL, NULL, NULL, NULL, &t_err));
}

static void discard_of_a_clean_log_writes_nothing(void)
{
	struct header_pair a, b;

	make("create");
	headers(&a);
	T_OK(vhdx_log_discard(path, &t_err));
	headers(&b);
	T_TRUE(a.cur.seq == b.cur.seq);
}

static void other_formats_have_no_log(void)
{
	make("truncate 1M");
	T_FAILS(vhdx_log_replay(path, NULL, &t_err), VHDX_E_UNSUPPORTED,
		"only VHDX files have a log");
	T_FAILS(vhdx_log_discard(path, &t_err), VHDX_E_UNSUPPORTED, "raw");
}

static void missing_files_are_not_found(void)
{
	T_FAILS(vhdx_log_replay("/nowhere/disk.vhdx", NULL, &t_err),
		VHDX_E_NOTFOUND, "/nowhere/disk.vhdx");
}

static const struct t_test tests[] = {
	T_TEST(show_tells_entries_from_tail_to_head),
	T_TEST(show_of_a_clean_log_has_no_entries),
	T_TEST(show_fills_the_state_of_a_log_beyond_replay),
	T_TEST(show_changes_nothing),
	T_TEST(replay_counts_entries_once),
	T_TEST(replay_keeps_the_data_write_guid),
	T_TEST(replay_grows_the_file_to_its_last_structure),
	T_TEST(discard_cleans_both_headers_and_tells_the_children),
	T_TEST(discard_of_a_clean_log_writes_nothing),
	T_TEST(other_formats_have_no_log),
	T_TEST(missing_files_are_not_found),
	T_END
};

const struct t_suite t_suite_vhdx_log = { "vhdx_log", tests };
