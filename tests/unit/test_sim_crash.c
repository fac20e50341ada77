/* SPDX-License-Identifier: MIT */
/* The laws L1..L4 of file_crash.h: what may be lost, and what never is. */
#include <string.h>

#include "file_crash.h"
#include "t.h"

#define SECTOR 512u

static struct loop *loop;
static struct crash_world *world;
static struct crash_disk *disk;
static struct file *file;

static void begin_on(const struct crash_opts *opts,
		     const struct memimg *initial)
{
	T_OK(loop_new(&loop, &t_err));
	world = crash_world_new(opts);
	disk = crash_disk_new(world, "disk", initial);
	T_OK(crash_disk_open(disk, loop, &file, &t_err));
}

static void begin(void)
{
	begin_on(NULL, NULL);
}

static void end(void)
{
	file_close(file);
	crash_world_free(world);
	loop_free(loop);
}

/* Sectors filled with one letter each: "ab" is two sectors. */
static void put(uint64_t sector, const char *letters)
{
	static uint8_t buf[64 * SECTOR];
	size_t cnt = strlen(letters);

	for (size_t i = 0; i < cnt; i++)
		memset(buf + i * SECTOR, letters[i], SECTOR);
	T_OK(file_write(file, sector * SECTOR, buf, cnt * SECTOR, &t_err));
}

/* The same notation for a content; '.' is a sector of zeros, '!' a mixed one,
 * "ab" a file of two sectors. */
static const char *show(const struct memimg *m)
{
	static char text[65];
	uint64_t cnt = m->size / SECTOR;

	T_TRUE(cnt < sizeof(text));
	for (uint64_t i = 0; i < cnt; i++) {
		uint8_t b[SECTOR];

		memimg_read(m, i * SECTOR, b, SECTOR);
		text[i] = b[0] ? (char)b[0] : '.';
		for (size_t j = 1; j < SECTOR; j++)
			if (b[j] != b[0])
				text[i] = '!';
	}
	text[cnt] = '\0';
	return text;
}

static bool gives(uint64_t k, enum crash_pick_kind kind, uint64_t arg,
		  const char *want)
{
	struct crash_pick pick = { kind, arg };
	struct memimg m;
	bool same;

	crash_build(disk, k, &pick, &m);
	same = strcmp(show(&m), want) == 0;
	if (!same)
		fprintf(stderr, "\n  content is \"%s\", not \"%s\"\n", show(&m),
			want);
	memimg_free(&m);
	return same;
}

/* Are the contents at k exactly those of the list, NULL at its end? */
static bool exactly(uint64_t k, const char *const *want)
{
	unsigned seen[32] = { 0 };
	struct crash_iter it;
	struct memimg m;
	bool ok = true;

	crash_iter_init(&it, disk, k, 1u << 16, 1);
	T_TRUE(crash_iter_all(&it));
	while (crash_iter_next(&it, &m)) {
		size_t i = 0;

		while (want[i] && strcmp(show(&m), want[i]) != 0)
			i++;
		if (!want[i])
			fprintf(stderr, "\n  \"%s\" is too much\n", show(&m));
		ok = ok && want[i];
		seen[i]++;
		memimg_free(&m);
	}
	for (size_t i = 0; want[i]; i++) {
		if (!seen[i])
			fprintf(stderr, "\n  \"%s\" is missing\n", want[i]);
		ok = ok && seen[i];
	}
	return ok;
}
#define EXACTLY(k, ...) \
	T_TRUE(exactly(k, (const char *[]){ __VA_ARGS__, NULL }))

struct async {
	struct file_io io;
	struct iovec iov;
	uint8_t buf[SECTOR];
	bool done;
};

static void async_done(struct file_io *io)
{
	container_of(io, struct async, io)->done = true;
}

static void start(struct async *a, enum file_op op, uint64_t sector,
		  char letter)
{
	memset(a, 0, sizeof(*a));
	memset(a->buf, letter, SECTOR);
	a->iov = (struct iovec){ a->buf, SECTOR };
	a->io = (struct file_io){ .op = op, .off = sector * SECTOR,
				  .len = SECTOR, .iov = &a->iov, .iov_cnt = 1,
				  .done = async_done };
	file_submit(file, &a->io);
}

static void wait_for(struct async *a)
{
	while (!a->done)
		(void)loop_turn(loop, -1);
	T_OK(a->io.res);
}

/* ---- L1 ---------------------------------------------------------------- */

static void synced_data_is_in_every_later_content(void)
{
	struct crash_iter it;
	struct memimg m;
	uint64_t synced;

	begin();
	put(0, "ab");
	T_OK(file_sync(file, &t_err));
	synced = crash_now(world);
	put(2, "cdefghij");
	T_OK(file_truncate(file, 40 * SECTOR, &t_err));
	for (uint64_t k = synced; k <= crash_now(world); k++) {
		crash_iter_init(&it, disk, k, 300, k);
		while (crash_iter_next(&it, &m)) {
			T_TRUE(strncmp(show(&m), "ab", 2) == 0);
			memimg_free(&m);
		}
	}
	end();
}

static void write_without_sync_is_guaranteed_at_no_instant(void)
{
	begin();
	put(0, "a");
	for (uint64_t k = 0; k <= crash_now(world); k++)
		T_TRUE(gives(k, CRASH_NONE, 0, ""));
	T_TRUE(gives(crash_now(world), CRASH_ALL, 0, "a"));
	end();
}

static void sync_does_not_cover_a_write_in_flight_at_its_submission(void)
{
	struct async w, s;

	begin();
	start(&w, FILE_WRITE, 0, 'a');
	start(&s, FILE_SYNC, 0, 0);
	wait_for(&w);
	wait_for(&s);
	T_TRUE(gives(crash_now(world), CRASH_NONE, 0, ""));
	T_OK(file_sync(file, &t_err));
	T_TRUE(gives(crash_now(world), CRASH_NONE, 0, "a"));
	end();
}

static void sync_guarantees_nothing_before_it_is_complete(void)
{
	struct async s;
	uint64_t k;

	begin();
	put(0, "a");
	start(&s, FILE_SYNC, 0, 0);
	k = crash_now(world);
	wait_for(&s);
	T_TRUE(gives(k, CRASH_NONE, 0, ""));
	T_TRUE(gives(k + 1, CRASH_NONE, 0, "a"));
	T_EQ_U64(crash_now(world), k + 1);
	end();
}

static void write_after_the_submission_of_a_sync_is_not_covered(void)
{
	struct async w, s;

	begin();
	put(0, "a");
	start(&s, FILE_SYNC, 0, 0);
	start(&w, FILE_WRITE, 1, 'b');
	wait_for(&s);
	wait_for(&w);
	T_TRUE(gives(crash_now(world), CRASH_NONE, 0, "a"));
	end();
}

static void nothing_submitted_after_the_instant_is_there(void)
{
	uint64_t k;

	begin();
	put(0, "a");
	k = crash_now(world);
	put(1, "b");
	T_OK(file_sync(file, &t_err));
	T_TRUE(gives(k, CRASH_ALL, 0, "a"));
	T_TRUE(gives(0, CRASH_ALL, 0, ""));
	end();
}

static void synced_write_keeps_its_size_though_an_older_growth_is_lost(void)
{
	struct crash_opts o = { .seed = 0, .max_delay = 3 };
	unsigned found = 0;

	/* "a" grows the file and is in flight when the sync starts; "b" lies
	 * within that growth and is complete. Seeds that make it so. */
	for (; o.seed < 200; o.seed++) {
		struct async a, b;

		begin_on(&o, NULL);
		start(&a, FILE_WRITE, 2, 'a');
		start(&b, FILE_WRITE, 1, 'b');
		wait_for(&b);
		if (!a.done && crash_disk_content(disk)->size == 3 * SECTOR) {
			T_OK(file_sync(file, &t_err));
			T_TRUE(gives(crash_now(world), CRASH_NONE, 0, ".b"));
			found++;
		}
		wait_for(&a);
		end();
	}
	T_TRUE(found > 10);
}

/* ---- L2, L4 ------------------------------------------------------------ */

static void write_tears_between_any_two_sectors(void)
{
	struct memimg initial = { 0 };

	memimg_resize(&initial, 3 * SECTOR);
	begin_on(NULL, &initial);
	put(0, "abc");
	EXACTLY(crash_now(world), "...", "a..", ".b.", "..c", "ab.", "a.c",
		".bc", "abc");
	end();
	memimg_free(&initial);
}

static void unaligned_write_tears_at_sector_borders_of_the_file(void)
{
	struct memimg initial = { 0 }, m;
	struct crash_pick first = { CRASH_ATOMS, 1 };
	uint8_t buf[SECTOR], out[2 * SECTOR];

	memimg_resize(&initial, 2 * SECTOR);
	begin_on(NULL, &initial);
	memset(buf, 'x', SECTOR);
	T_OK(file_write(file, 100, buf, SECTOR, &t_err));
	T_EQ_U64(crash_atom_cnt(disk, crash_now(world)), 2);
	crash_build(disk, crash_now(world), &first, &m);
	memimg_read(&m, 0, out, sizeof(out));
	T_TRUE(out[99] == 0 && out[100] == 'x' && out[511] == 'x' &&
	       out[512] == 0);
	memimg_free(&m);
	end();
	memimg_free(&initial);
}

static void zero_and_punch_may_be_done_in_part(void)
{
	begin();
	put(0, "abc");
	T_OK(file_sync(file, &t_err));
	T_OK(file_zero(file, SECTOR, 2 * SECTOR, &t_err));
	EXACTLY(crash_now(world), "abc", "a.c", "ab.", "a..");
	end();
}

static void each_of_two_writes_may_be_missing_and_the_newer_wins(void)
{
	begin();
	put(0, "---");
	T_OK(file_sync(file, &t_err));
	put(0, "ab");
	put(1, "c");
	EXACTLY(crash_now(world), "---", "a--", "-b-", "ab-", "-c-", "ac-");
	end();
}

static void not_punching_is_reported_and_changes_nothing(void)
{
	struct crash_opts o = { .no_punch = true };
	struct async p;

	begin_on(&o, NULL);
	put(0, "a");
	start(&p, FILE_PUNCH, 0, 0);
	wait_for(&p);
	T_TRUE(!p.io.res_punched);
	T_TRUE(gives(crash_now(world), CRASH_ALL, 0, "a"));
	end();
}

/* ---- L3 ---------------------------------------------------------------- */

static void growth_and_data_of_a_write_are_lost_separately(void)
{
	begin();
	put(0, "a");
	EXACTLY(crash_now(world), "", ".", "a");
	end();
}

static void data_beyond_a_lost_growth_shows_when_another_growth_survives(void)
{
	begin();
	put(1, "a");
	T_OK(file_truncate(file, 3 * SECTOR, &t_err));
	EXACTLY(crash_now(world), "", "..", ".a", "...", ".a.");
	end();
}

static void data_beyond_a_lost_growth_does_not_come_back_later(void)
{
	struct crash_pick data_only = { CRASH_ATOMS, 1 };
	struct memimg m;

	begin();
	put(0, "a");
	crash_build(disk, crash_now(world), &data_only, &m);
	T_EQ_U64(m.size, 0);
	memimg_resize(&m, SECTOR);
	T_TRUE(strcmp(show(&m), ".") == 0);
	memimg_free(&m);
	end();
}

static void lost_shrinking_brings_the_old_bytes_back(void)
{
	begin();
	put(0, "ab");
	T_OK(file_sync(file, &t_err));
	T_OK(file_truncate(file, SECTOR, &t_err));
	T_OK(file_truncate(file, 3 * SECTOR, &t_err));
	EXACTLY(crash_now(world), "ab", "a", "a..", "ab.");
	end();
}

static void write_within_the_file_has_no_size_to_lose(void)
{
	begin();
	T_OK(file_truncate(file, 2 * SECTOR, &t_err));
	T_OK(file_sync(file, &t_err));
	put(0, "a");
	T_EQ_U64(crash_atom_cnt(disk, crash_now(world)), 1);
	EXACTLY(crash_now(world), "..", "a.");
	end();
}

/* ---- instants ---------------------------------------------------------- */

static void next_instant_skips_what_changes_nothing(void)
{
	uint64_t k;
	char text[CRASH_TEXT_LEN];

	begin();
	put(0, "a");
	T_OK(file_sync(file, &t_err));
	T_EQ_U64(crash_now(world), 4);
	k = crash_next(world, 0);
	crash_event_text(world, k, text);
	T_TRUE(strcmp(text, "event 1: disk: write 0+512 submitted") == 0);
	k = crash_next(world, k);
	crash_event_text(world, k, text);
	T_TRUE(strcmp(text, "event 4: disk: sync 0+0 completed") == 0);
	T_EQ_U64(crash_next(world, k), k);
	end();
}

static void sync_of_one_disk_says_nothing_about_another(void)
{
	struct crash_disk *other;
	struct crash_pick none = { CRASH_NONE, 0 };
	struct file *f2;
	struct memimg m;

	begin();
	other = crash_disk_new(world, "other", NULL);
	T_OK(crash_disk_open(other, loop, &f2, &t_err));
	T_OK(file_write(f2, 0, "x", 1, &t_err));
	put(0, "a");
	T_OK(file_sync(file, &t_err));
	T_TRUE(gives(crash_now(world), CRASH_NONE, 0, "a"));
	crash_build(other, crash_now(world), &none, &m);
	T_EQ_U64(m.size, 0);
	memimg_free(&m);
	file_close(f2);
	end();
}

static void content_can_be_run_on_and_crash_again(void)
{
	struct crash_pick all = { CRASH_ALL, 0 };
	struct memimg m;

	begin();
	put(0, "a");
	crash_build(disk, crash_now(world), &all, &m);
	end();
	begin_on(NULL, &m);
	memimg_free(&m);
	T_EQ_U64(file->size, SECTOR);
	put(0, "b");
	EXACTLY(crash_now(world), "a", "b");
	end();
}

static void reopening_goes_on_with_the_same_record(void)
{
	begin();
	put(0, "a");
	file_close(file);
	T_OK(crash_disk_open(disk, loop, &file, &t_err));
	T_EQ_U64(file->size, SECTOR);
	/* Closing is not syncing. */
	T_TRUE(gives(crash_now(world), CRASH_NONE, 0, ""));
	T_OK(file_sync(file, &t_err));
	T_TRUE(gives(crash_now(world), CRASH_NONE, 0, "a"));
	end();
}

/* ---- disorder ---------------------------------------------------------- */

enum { ASYNC_CNT = 24 };

/* A fixed program; returns what its record looks like. */
static uint64_t record_hash(uint64_t seed)
{
	struct crash_opts o = { .seed = seed, .max_delay = 6 };
	static struct async a[ASYNC_CNT];
	uint64_t hash = 0;

	begin_on(&o, NULL);
	for (unsigned i = 0; i < ASYNC_CNT; i++)
		start(&a[i], i % 5 == 4 ? FILE_SYNC : FILE_WRITE, i, 'x');
	for (unsigned i = 0; i < ASYNC_CNT; i++)
		wait_for(&a[i]);
	for (uint64_t k = 1; k <= crash_now(world); k++) {
		char text[CRASH_TEXT_LEN];

		crash_event_text(world, k, text);
		for (char *p = text; *p; p++)
			hash = hash * 31 + (uint8_t)*p;
	}
	end();
	return hash;
}

static void seed_decides_the_order_of_completion(void)
{
	T_EQ_U64(record_hash(1), record_hash(1));
	T_TRUE(record_hash(1) != record_hash(2));
	T_TRUE(record_hash(0) != record_hash(3));
}

/*
 * A random program against an independent reading of the laws. Each write gets
 * a letter of its own; what a sector may show at an instant is worked out from
 * when the writes were submitted and completed, per sector, in this file.
 */
enum { SECTORS = 8, WRITES = 40 };

struct model_write {
	struct async a;
	uint64_t sector, submitted, completed;
};

static struct model_write writes[WRITES];

static void model_done(struct file_io *io)
{
	struct model_write *w = container_of(io, struct model_write, a.io);

	w->a.done = true;
	w->completed = crash_now(world);
}

static bool may_show(uint64_t k, uint64_t limit, uint64_t sector, char c)
{
	bool newer_covered = false;

	/* No two writes to a sector are in flight at once, so the order of
	 * submission is the order of effect. */
	for (int i = WRITES - 1; i >= 0; i--) {
		const struct model_write *w = &writes[i];

		if (w->sector != sector || w->submitted > k)
			continue;
		if (w->a.buf[0] == (uint8_t)c)
			return !newer_covered;
		if (w->completed < limit)
			newer_covered = true;
	}
	return c == '.' && !newer_covered;
}

static bool busy(uint64_t sector)
{
	for (int i = 0; i < WRITES; i++)
		if (writes[i].submitted && !writes[i].a.done &&
		    writes[i].sector == sector)
			return true;
	return false;
}

static struct { uint64_t submitted, completed; } model_syncs[WRITES];

static unsigned run_model(uint64_t seed)
{
	unsigned sync_cnt = 0;

	memset(writes, 0, sizeof(writes));
	for (unsigned i = 0; i < WRITES; i++) {
		struct model_write *w = &writes[i];

		do {
			w->sector = t_rand_below(&seed, SECTORS);
			(void)loop_turn(loop, 0);
		} while (busy(w->sector));
		start(&w->a, FILE_WRITE, w->sector, (char)('A' + i));
		w->a.io.done = model_done;
		w->submitted = crash_now(world);
		if (t_rand_below(&seed, 4) == 0) {
			model_syncs[sync_cnt].submitted = crash_now(world) + 1;
			T_OK(file_sync(file, &t_err));
			model_syncs[sync_cnt++].completed = crash_now(world);
		}
	}
	for (unsigned i = 0; i < WRITES; i++)
		wait_for(&writes[i].a);
	return sync_cnt;
}

static void check_instant(uint64_t k, uint64_t limit)
{
	struct crash_iter it;
	struct memimg m;

	crash_iter_init(&it, disk, k, 64, k);
	while (crash_iter_next(&it, &m)) {
		const char *text = show(&m);

		T_EQ_U64(strlen(text), SECTORS);
		for (uint64_t i = 0; i < SECTORS; i++)
			T_TRUE(may_show(k, limit, i, text[i]));
		memimg_free(&m);
	}
}

static void random_programs_obey_the_laws_sector_by_sector(void)
{
	struct crash_opts o = { .max_delay = 4 };
	struct memimg initial = { 0 };

	memimg_resize(&initial, SECTORS * SECTOR);
	for (o.seed = 0; o.seed < 20; o.seed++) {
		unsigned sync_cnt;

		begin_on(&o, &initial);
		sync_cnt = run_model(o.seed);
		for (uint64_t k = 0; k <= crash_now(world); k++) {
			uint64_t limit = 0;

			for (unsigned i = 0; i < sync_cnt; i++)
				if (model_syncs[i].completed <= k)
					limit = model_syncs[i].submitted;
			check_instant(k, limit);
		}
		end();
	}
	memimg_free(&initial);
}

/* Every pending write is seen there, missing and torn, before long. */
static void samples_show_each_change_there_missing_and_torn(void)
{
	unsigned there[10] = { 0 }, missing[10] = { 0 }, torn[10] = { 0 };
	struct memimg initial = { 0 }, m;
	struct crash_iter it;

	memimg_resize(&initial, 40 * SECTOR);
	begin_on(NULL, &initial);
	for (uint64_t i = 0; i < 10; i++)
		put(4 * i, "xxxx");
	crash_iter_init(&it, disk, crash_now(world), 500, 7);
	T_TRUE(!crash_iter_all(&it));
	while (crash_iter_next(&it, &m)) {
		const char *text = show(&m);

		for (unsigned i = 0; i < 10; i++, text += 4) {
			there[i] += strncmp(text, "xxxx", 4) == 0;
			missing[i] += strncmp(text, "....", 4) == 0;
			torn[i] += strncmp(text, "x..x", 4) == 0;
		}
		memimg_free(&m);
	}
	T_EQ_U64(it.next, 500);
	for (unsigned i = 0; i < 10; i++)
		T_TRUE(there[i] > 20 && missing[i] > 20 && torn[i] > 0);
	end();
	memimg_free(&initial);
}

static void pick_of_the_iterator_builds_the_same_content_again(void)
{
	struct memimg a, b;
	struct crash_iter it;

	begin();
	put(0, "abcdefghijkl");
	put(3, "ABC");
	crash_iter_init(&it, disk, crash_now(world), 50, 3);
	while (crash_iter_next(&it, &a)) {
		crash_build(disk, crash_now(world), &it.pick, &b);
		T_TRUE(memimg_eq(&a, &b, NULL));
		memimg_free(&a);
		memimg_free(&b);
	}
	end();
}

static const struct t_test tests[] = {
	T_TEST(synced_data_is_in_every_later_content),
	T_TEST(write_without_sync_is_guaranteed_at_no_instant),
	T_TEST(sync_does_not_cover_a_write_in_flight_at_its_submission),
	T_TEST(sync_guarantees_nothing_before_it_is_complete),
	T_TEST(write_after_the_submission_of_a_sync_is_not_covered),
	T_TEST(nothing_submitted_after_the_instant_is_there),
	T_TEST(synced_write_keeps_its_size_though_an_older_growth_is_lost),
	T_TEST(write_tears_between_any_two_sectors),
	T_TEST(unaligned_write_tears_at_sector_borders_of_the_file),
	T_TEST(zero_and_punch_may_be_done_in_part),
	T_TEST(each_of_two_writes_may_be_missing_and_the_newer_wins),
	T_TEST(not_punching_is_reported_and_changes_nothing),
	T_TEST(growth_and_data_of_a_write_are_lost_separately),
	T_TEST(data_beyond_a_lost_growth_shows_when_another_growth_survives),
	T_TEST(data_beyond_a_lost_growth_does_not_come_back_later),
	T_TEST(lost_shrinking_brings_the_old_bytes_back),
	T_TEST(write_within_the_file_has_no_size_to_lose),
	T_TEST(next_instant_skips_what_changes_nothing),
	T_TEST(sync_of_one_disk_says_nothing_about_another),
	T_TEST(content_can_be_run_on_and_crash_again),
	T_TEST(reopening_goes_on_with_the_same_record),
	T_TEST(seed_decides_the_order_of_completion),
	T_TEST(random_programs_obey_the_laws_sector_by_sector),
	T_TEST(samples_show_each_change_there_missing_and_torn),
	T_TEST(pick_of_the_iterator_builds_the_same_content_again),
	T_END,
};

const struct t_suite t_suite_sim_crash = { "sim_crash", tests };
