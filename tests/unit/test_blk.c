/* SPDX-License-Identifier: MIT */
/*
 * The block device as a queue: who gets in, who waits, who is given up, and
 * that each is done once. A VHDX disk of 1 MiB blocks, all present, over a file
 * that holds what it is asked until the test lets it go.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "blk.h"
#include "file_hold.h"
#include "file_mem.h"
#include "t.h"

#define DISK (4 * MIB)
#define REQ_CNT (3 * BLK_DEPTH)
#define NOT_DONE 12345

static struct loop *loop;
static struct memimg disk;
static struct file_hold *hold;
static struct vhdx_blk *blk;
static struct vhdx_req reqs[REQ_CNT];
static struct iovec iovs[REQ_CNT];
static struct vhdx_err errs[REQ_CNT];
static uint8_t data[2 * MIB];
static unsigned done_cnt, order[REQ_CNT];
static pthread_t done_on;

static void open_disk(void)
{
	struct vhdx_create_opts c = {
		.format = VHDX_FORMAT_VHDX, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true, .size_len = DISK, .block_len = MIB,
		.sector_len = 512, .physical_sector_len = 4096,
	};
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(file_hold_new(f, &hold, &t_err));
	T_OK(vhdx_image_create(&hold->w.file, &c, &t_err));
	T_OK(vhdx_image_open(&hold->w.file, &o, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
}

/* Every request is an empty one, and the file holds. */
static void begin(void)
{
	memset(reqs, 0, sizeof(reqs));
	done_cnt = 0;
	open_disk();
	for (uint64_t n = 4; n--;) /* no two blocks lie side by side in order */
		T_OK(vhdx_blk_write(blk, n * MIB, data, MIB, &t_err));
	hold->holding = true;
}

static void end(void)
{
	file_hold_end(hold);
	T_OK(vhdx_blk_close(blk, &t_err));
	loop_free(loop);
	memimg_free(&disk);
}

static void done(struct vhdx_req *req)
{
	T_TRUE(req->opaque == &done_cnt); /* for the first time */
	req->opaque = NULL;
	done_on = pthread_self();
	order[done_cnt++] = (unsigned)(req - reqs);
}

/* Request n: op at voff. */
static struct vhdx_req *make(unsigned n, enum vhdx_op op, uint64_t voff,
			     uint64_t len)
{
	iovs[n] = (struct iovec){ data, len };
	reqs[n] = (struct vhdx_req){
		.op = op, .voff = voff, .len = len, .iov = &iovs[n],
		.iov_cnt = 1, .err = &errs[n], .done = done,
		.opaque = &done_cnt, .result = NOT_DONE,
	};
	return &reqs[n];
}

static void submit(unsigned n, enum vhdx_op op, uint64_t voff, uint64_t len)
{
	vhdx_blk_submit(blk, make(n, op, voff, len));
}

static void turn(void)
{
	while (vhdx_blk_turn(blk, 0))
		;
}

static uint64_t asked(const struct file_io *io)
{
	return io->len;
}

/* ---- the gate ------------------------------------------------------------ */

/* Reads of n + 1 sectors, so that the file tells which is which. */
static void fill_the_gate(unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		submit(i, VHDX_OP_READ, 0, (i + 1) * 512);
	turn();
}

static void no_more_than_the_depth_reaches_the_host(void)
{
	begin();
	fill_the_gate(REQ_CNT);
	T_EQ_U64(hold->held_cnt, BLK_DEPTH);
	for (unsigned i = 0; i < 10; i++)
		file_hold_let(hold, file_hold_nth(hold, 100));
	turn();
	T_EQ_U64(done_cnt, 10);
	T_EQ_U64(hold->held_cnt, BLK_DEPTH);
	end();
	T_EQ_U64(done_cnt, REQ_CNT);
}

static void those_who_wait_get_in_as_they_came(void)
{
	begin();
	fill_the_gate(REQ_CNT);
	for (unsigned i = 0; i < REQ_CNT; i++) {
		struct file_io *io = file_hold_nth(hold, 0);

		T_EQ_U64(asked(io), (i + 1) * 512);
		file_hold_let(hold, io);
		turn();
	}
	T_EQ_U64(done_cnt, REQ_CNT);
	end();
}

static void one_that_comes_later_does_not_overtake(void)
{
	begin();
	fill_the_gate(BLK_DEPTH + 1);
	file_hold_let(hold, file_hold_nth(hold, 0));
	turn();
	submit(0, VHDX_OP_READ, 0, 512);
	file_hold_let(hold, file_hold_nth(hold, 0));
	turn();
	T_EQ_U64(asked(file_hold_nth(hold, BLK_DEPTH - 2)),
		 (BLK_DEPTH + 1) * 512);
	T_EQ_U64(asked(file_hold_nth(hold, BLK_DEPTH - 1)), 512);
	end();
}

static void a_flush_does_not_wait_at_the_gate(void)
{
	begin();
	fill_the_gate(BLK_DEPTH + 1);
	submit(REQ_CNT - 1, VHDX_OP_FLUSH, 0, 0);
	turn();
	T_EQ_U64(file_hold_nth(hold, BLK_DEPTH)->op, FILE_SYNC);
	end();
	T_EQ_U64(reqs[REQ_CNT - 1].result, 0);
}

static void nonsense_is_told_at_once_though_the_gate_is_full(void)
{
	begin();
	fill_the_gate(BLK_DEPTH + 1);
	submit(REQ_CNT - 1, VHDX_OP_READ, DISK, 512);
	turn();
	T_EQ_U64(reqs[REQ_CNT - 1].result, VHDX_E_RANGE);
	T_EQ_U64(done_cnt, 1);
	end();
}

/* ---- posting ------------------------------------------------------------- */

#define POSTERS 4

static void *poster(void *arg)
{
	unsigned first = *(unsigned *)arg;

	for (unsigned i = 0; i < REQ_CNT / POSTERS; i++)
		vhdx_blk_post(blk, make(first + i, VHDX_OP_READ, 0, 512));
	return NULL;
}

static void what_many_threads_post_is_done_by_the_owner_once_each(void)
{
	pthread_t threads[POSTERS];
	unsigned first[POSTERS];

	begin();
	hold->holding = false;
	for (unsigned i = 0; i < POSTERS; i++) {
		first[i] = i * (REQ_CNT / POSTERS);
		T_TRUE(!pthread_create(&threads[i], NULL, poster, &first[i]));
	}
	while (done_cnt < REQ_CNT) {
		vhdx_blk_turn(blk, -1);
		T_TRUE(!done_cnt || pthread_equal(done_on, pthread_self()));
	}
	for (unsigned i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < REQ_CNT; i++)
		T_EQ_U64(reqs[i].result, 0);
	end();
}

static void a_post_makes_the_descriptor_readable(void)
{
	struct pollfd p = { .events = POLLIN };

	begin();
	p.fd = vhdx_blk_fd(blk);
	turn();
	T_EQ_U64(poll(&p, 1, 0), 0);
	vhdx_blk_post(blk, make(0, VHDX_OP_READ, 0, 512));
	T_EQ_U64(poll(&p, 1, 0), 1);
	end();
}

static void drain_waits_for_what_is_posted(void)
{
	begin();
	hold->holding = false;
	for (unsigned i = 0; i < 10; i++)
		vhdx_blk_post(blk, make(i, VHDX_OP_READ, 0, 512));
	T_EQ_U64(done_cnt, 0);
	vhdx_blk_drain(blk);
	T_EQ_U64(done_cnt, 10);
	for (unsigned i = 0; i < 10; i++)
		T_EQ_U64(order[i], i);
	end();
}

/* ---- canceling ----------------------------------------------------------- */

static void expect_canceled(unsigned n)
{
	T_EQ_U64(reqs[n].result, VHDX_E_CANCELED);
	T_EQ_U64(errs[n].code, VHDX_E_CANCELED);
}

static void one_at_the_gate_is_given_up_unseen_by_the_host(void)
{
	begin();
	fill_the_gate(BLK_DEPTH + 2);
	vhdx_blk_cancel(blk, &reqs[BLK_DEPTH]);
	T_EQ_U64(done_cnt, 0); /* later */
	turn();
	T_EQ_U64(done_cnt, 1);
	expect_canceled(BLK_DEPTH);
	file_hold_let(hold, file_hold_nth(hold, 0));
	turn();
	T_EQ_U64(asked(file_hold_nth(hold, BLK_DEPTH - 1)),
		 (BLK_DEPTH + 2) * 512);
	end();
}

static void one_that_waits_for_its_range_stops_nobody_any_more(void)
{
	begin();
	submit(0, VHDX_OP_READ, 0, 4096);
	submit(1, VHDX_OP_WRITE_ZEROES, 0, 4096);
	submit(2, VHDX_OP_READ, 0, 8192);
	turn();
	T_EQ_U64(hold->held_cnt, 1);
	vhdx_blk_cancel(blk, &reqs[1]);
	turn();
	expect_canceled(1);
	T_EQ_U64(hold->held_cnt, 2);
	T_EQ_U64(asked(file_hold_nth(hold, 1)), 8192);
	end();
	T_EQ_U64(done_cnt, 3);
}

static void what_the_host_has_begun_is_waited_for(void)
{
	begin();
	submit(0, VHDX_OP_WRITE, 0, 4096);
	vhdx_blk_cancel(blk, &reqs[0]);
	turn();
	T_EQ_U64(done_cnt, 0);
	T_EQ_U64(hold->held_cnt, 1);
	file_hold_let(hold, file_hold_nth(hold, 0));
	turn();
	T_EQ_U64(reqs[0].result, 0); /* nothing was left undone */
	end();
}

static void the_rest_of_a_request_is_left_undone(void)
{
	begin();
	submit(0, VHDX_OP_READ, 0, 2 * MIB);
	vhdx_blk_cancel(blk, &reqs[0]);
	vhdx_blk_cancel(blk, &reqs[0]);
	file_hold_let(hold, file_hold_nth(hold, 0));
	turn();
	T_EQ_U64(hold->held_cnt, 0);
	expect_canceled(0);
	T_TRUE(strstr(errs[0].text, "1048576 of 2097152"));
	end();
	T_EQ_U64(done_cnt, 1);
}

static void a_write_given_up_before_it_is_durable_says_so(void)
{
	begin();
	make(0, VHDX_OP_WRITE, 0, 4096)->flags = VHDX_REQ_FUA;
	vhdx_blk_submit(blk, &reqs[0]);
	vhdx_blk_cancel(blk, &reqs[0]);
	file_hold_let(hold, file_hold_nth(hold, 0));
	turn();
	expect_canceled(0);
	T_EQ_U64(hold->held_cnt, 0);
	end();
}

static void a_flush_that_has_begun_goes_on(void)
{
	begin();
	hold->holding = false;
	T_OK(vhdx_blk_write(blk, 0, data, 4096, &t_err));
	hold->holding = true;
	submit(0, VHDX_OP_FLUSH, 0, 0);
	turn();
	vhdx_blk_cancel(blk, &reqs[0]);
	turn();
	T_EQ_U64(done_cnt, 0);
	file_hold_end(hold);
	vhdx_blk_drain(blk);
	T_EQ_U64(reqs[0].result, 0);
	end();
}

static void what_is_posted_can_be_given_up_before_it_arrives(void)
{
	begin();
	vhdx_blk_post(blk, make(0, VHDX_OP_READ, 0, 4096));
	vhdx_blk_cancel(blk, &reqs[0]);
	turn();
	expect_canceled(0);
	T_EQ_U64(hold->held_cnt, 0);
	end();
}

static void one_that_is_over_keeps_its_result(void)
{
	begin();
	submit(0, VHDX_OP_READ, DISK, 512);
	vhdx_blk_cancel(blk, &reqs[0]);
	turn();
	T_EQ_U64(reqs[0].result, VHDX_E_RANGE);
	end();
	T_EQ_U64(done_cnt, 1);
}

const struct t_suite t_suite_blk = {
	"blk",
	(const struct t_test[]){
	T_TEST(no_more_than_the_depth_reaches_the_host),
	T_TEST(those_who_wait_get_in_as_they_came),
	T_TEST(one_that_comes_later_does_not_overtake),
	T_TEST(a_flush_does_not_wait_at_the_gate),
	T_TEST(nonsense_is_told_at_once_though_the_gate_is_full),
	T_TEST(what_many_threads_post_is_done_by_the_owner_once_each),
	T_TEST(a_post_makes_the_descriptor_readable),
	T_TEST(drain_waits_for_what_is_posted),
	T_TEST(one_at_the_gate_is_given_up_unseen_by_the_host),
	T_TEST(one_that_waits_for_its_range_stops_nobody_any_more),
	T_TEST(what_the_host_has_begun_is_waited_for),
	T_TEST(the_rest_of_a_request_is_left_undone),
	T_TEST(a_write_given_up_before_it_is_durable_says_so),
	T_TEST(a_flush_that_has_begun_goes_on),
	T_TEST(what_is_posted_can_be_given_up_before_it_arrives),
	T_TEST(one_that_is_over_keeps_its_result),
	T_END,
	},
};
