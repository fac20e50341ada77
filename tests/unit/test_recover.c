/* SPDX-License-Identifier: MIT */
#include "recover.h"

#include <string.h>

#include "cut.h"
#include "damage.h"
#include "file_crash.h"
#include "file_mem.h"
#include "file_trace.h"
#include "le.h"
#include "t.h"

#define DIRTY \
	"create\ndirty 7\n" \
	"entry 0 seq=5 bat=1:0x400006 last=5M\n" \
	"entry 8K seq=6 tail=0 bat=2:0x3 zero=bat+8K:4K flushed=4M last=6M\n"

struct rig {
	struct loop *loop;
	struct memimg img;
	struct file *file;
	struct header_pair hdr;
	struct damage damage;
};

static void rig_up(struct rig *r, const char *script)
{
	memset(r, 0, sizeof(*r));
	guid_seed_for_tests(42);
	T_OK(loop_new(&r->loop, &t_err));
	T_OK(file_mem_new(r->loop, "disk.vhdx", &r->img, &r->file, &t_err));
	T_OK(damage_begin(&r->damage, r->file, &t_err));
	T_OK(damage_run(&r->damage, script, &t_err));
	T_OK(header_load(r->file, &r->hdr, &t_err));
}

static void rig_down(struct rig *r)
{
	file_close(r->file);
	loop_free(r->loop);
	memimg_free(&r->img);
	guid_seed_for_tests(0);
}

static uint64_t bat_entry(struct rig *r, uint64_t i)
{
	uint8_t b[8];

	memimg_read(&r->img, r->damage.bat_off + 8 * i, b, sizeof(b));
	return get_le64(b);
}

static void clean_log_writes_nothing(void)
{
	struct memimg before = { 0 };
	uint64_t entries = 9, off;
	struct rig r;

	rig_up(&r, "create");
	memimg_clone(&before, &r.img);
	T_OK(recover_log(r.file, &r.hdr, &entries, &t_err));
	T_EQ_U64(entries, 0);
	T_TRUE(memimg_eq(&before, &r.img, &off));
	memimg_free(&before);
	rig_down(&r);
}

static void entries_come_home_and_the_file_grows(void)
{
	struct rig r;
	uint64_t entries;

	rig_up(&r, DIRTY);
	T_OK(recover_log(r.file, &r.hdr, &entries, &t_err));
	T_EQ_U64(entries, 2);
	T_EQ_U64(bat_entry(&r, 2), 3);
	T_EQ_U64(r.img.size, 6 * MIB);
	rig_down(&r);
}

static void both_headers_are_clean_afterwards(void)
{
	struct header_pair was, is;
	struct rig r;

	rig_up(&r, DIRTY);
	was = r.hdr;
	T_OK(recover_log(r.file, &r.hdr, NULL, &t_err));
	T_OK(header_load(r.file, &is, &t_err));
	for (int i = 0; i < 2; i++) {
		T_TRUE(is.valid[i] && guid_is_zero(&is.copy[i].log));
		T_TRUE(!guid_eq(&is.copy[i].file_write, &was.cur.file_write));
		T_TRUE(guid_eq(&is.copy[i].data_write, &was.cur.data_write));
	}
	T_TRUE(is.cur.seq == was.cur.seq + 4 && is.cur.seq == r.hdr.cur.seq);
	rig_down(&r);
}

static void log_that_cannot_be_replayed_writes_nothing(void)
{
	struct memimg before = { 0 };
	uint64_t off;
	struct rig r;

	rig_up(&r, DIRTY "flip log+4\nflip log+8196");
	memimg_clone(&before, &r.img);
	T_FAILS(recover_log(r.file, &r.hdr, NULL, &t_err), VHDX_E_CORRUPT,
		"replaying the log of disk.vhdx");
	T_TRUE(memimg_eq(&before, &r.img, &off));
	memimg_free(&before);
	rig_down(&r);
}

/* V1 and V2 of recover.h, as operations. */
static void headers_frame_the_replay_with_syncs_between(void)
{
	struct file_trace *t;
	struct rig r;
	unsigned i = 0, last;

	rig_up(&r, DIRTY);
	T_OK(file_trace_new(r.file, &t, &t_err));
	T_OK(recover_log(&t->w.file, &r.hdr, NULL, &t_err));
	for (int k = 0; k < 2; k++) {
		T_TRUE(t->ops[i].op == FILE_WRITE && t->ops[i].off < MIB);
		T_TRUE(t->ops[i + 1].op == FILE_SYNC);
		i += 2;
	}
	last = t->cnt - 4;
	for (; i < last; i++)
		T_TRUE(t->ops[i].op != FILE_WRITE || t->ops[i].off >= MIB);
	T_TRUE(t->ops[last - 1].op == FILE_SYNC);
	T_TRUE(t->ops[last].op == FILE_WRITE && t->ops[last].off < MIB);
	T_TRUE(t->ops[t->cnt - 1].op == FILE_SYNC);
	r.file = &t->w.file;
	rig_down(&r);
}

/* Headers apart, whose GUIDs are random. */
static void without_headers(struct memimg *dst, const struct rig *r)
{
	memimg_clone(dst, &r->img);
	memimg_zero(dst, FMT_HEADER_OFF(0), FMT_HEADER_LEN);
	memimg_zero(dst, FMT_HEADER_OFF(1), FMT_HEADER_LEN);
}

static void interrupted_anywhere_it_recovers_the_same(void)
{
	struct memimg whole = { 0 }, again = { 0 };
	struct cut cut;
	struct rig r;
	uint64_t off;

	rig_up(&r, DIRTY);
	T_OK(recover_log(r.file, &r.hdr, NULL, &t_err));
	without_headers(&whole, &r);
	rig_down(&r);
	for (uint64_t n = 0;; n++) {
		int rc;

		rig_up(&r, DIRTY);
		cut_init(&cut, r.file, n);
		rc = recover_log(&cut.w.file, &r.hdr, NULL, &t_err);
		T_OK(header_load(r.file, &r.hdr, &t_err));
		T_OK(recover_log(r.file, &r.hdr, NULL, &t_err));
		without_headers(&again, &r);
		T_TRUE(memimg_eq(&again, &whole, &off));
		memimg_free(&again);
		rig_down(&r);
		if (!rc)
			break;
		T_TRUE(rc == VHDX_E_IO && n < 100);
	}
	memimg_free(&whole);
}

/* Syncs missing anywhere would show here: V1 and V2. */
static void power_failure_anywhere_recovers_the_same(void)
{
	struct memimg whole = { 0 }, state = { 0 }, again = { 0 };
	struct crash_world *w = crash_world_new(NULL);
	struct crash_disk *d;
	struct crash_iter it;
	struct file *f;
	struct rig r;
	uint64_t off;

	rig_up(&r, DIRTY);
	d = crash_disk_new(w, "disk.vhdx", &r.img);
	T_OK(crash_disk_open(d, r.loop, &f, &t_err));
	T_OK(recover_log(f, &r.hdr, NULL, &t_err));
	file_close(f);
	memimg_free(&r.img);
	memimg_clone(&r.img, crash_disk_content(d));
	without_headers(&whole, &r);
	for (uint64_t k = 0, last = UINT64_MAX; k != last;
	     last = k, k = crash_next(w, k)) {
		crash_iter_init(&it, d, k, 64, k);
		while (crash_iter_next(&it, &state)) {
			memimg_free(&r.img);
			r.img = state;
			r.file->size = r.img.size;
			T_OK(header_load(r.file, &r.hdr, &t_err));
			T_OK(recover_log(r.file, &r.hdr, NULL, &t_err));
			without_headers(&again, &r);
			T_TRUE(memimg_eq(&again, &whole, &off));
			memimg_free(&again);
		}
	}
	memimg_free(&whole);
	crash_world_free(w);
	rig_down(&r);
}

static const struct t_test tests[] = {
	T_TEST(clean_log_writes_nothing),
	T_TEST(entries_come_home_and_the_file_grows),
	T_TEST(both_headers_are_clean_afterwards),
	T_TEST(log_that_cannot_be_replayed_writes_nothing),
	T_TEST(headers_frame_the_replay_with_syncs_between),
	T_TEST(interrupted_anywhere_it_recovers_the_same),
	T_TEST(power_failure_anywhere_recovers_the_same),
	T_END
};

const struct t_suite t_suite_recover = { "recover", tests };
