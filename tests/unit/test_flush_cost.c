/* SPDX-License-Identifier: MIT */
/*
 * What a flush costs the host, in syncs, whatever the format: two at most where
 * metadata changed, one where only data did, none where nothing did; and many
 * at once no more than one after the other. Over a file that counts.
 */
#include <string.h>

#include "file_hold.h"
#include "file_mem.h"
#include "file_trace.h"
#include "image.h"
#include "t.h"

#define SIZE (64 * MIB)
#define CNT 100u

static struct loop *loop;
static struct memimg disk;
static struct file_trace *trace;
static struct file_hold *hold;
static struct vhdx_blk *blk;
static struct vhdx_req reqs[2 * CNT];
static struct iovec iov;
static uint8_t data[4096];
static unsigned done_cnt, failed_cnt;

static const enum vhdx_format formats[] = {
	VHDX_FORMAT_VHDX, VHDX_FORMAT_VHD, VHDX_FORMAT_RAW,
};

static void create(enum vhdx_format format, struct file *f)
{
	struct vhdx_create_opts c = {
		.format = format, .type = VHDX_TYPE_DYNAMIC, .type_given = true,
		.size_len = SIZE, .block_len = MIB, .sector_len = 512,
		.physical_sector_len = format == VHDX_FORMAT_VHD ? 512 : 4096,
	};

	if (format == VHDX_FORMAT_VHDX) {
		T_OK(vhdx_image_create(f, &c, &t_err));
		return;
	}
	if (format == VHDX_FORMAT_VHD) {
		T_OK(vhd1_image_create(f, &c, &t_err));
		return;
	}
	c.type = VHDX_TYPE_FIXED;
	T_OK(raw_image_create(f, &c, &t_err));
}

static void open_disk(enum vhdx_format format, bool is_new)
{
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct image *img;
	struct file *f;

	T_OK(loop_new(&loop, &t_err));
	T_OK(file_mem_new(loop, "disk", &disk, &f, &t_err));
	T_OK(file_trace_new(f, &trace, &t_err));
	T_OK(file_hold_new(&trace->w.file, &hold, &t_err));
	if (is_new)
		create(format, &hold->w.file);
	T_OK(image_open(&hold->w.file, format, &o, &img, &t_err));
	T_OK(blk_new(img, loop, false, &blk, &t_err));
}

/* Block 0 is there and durable. */
static void begin(enum vhdx_format format)
{
	open_disk(format, true);
	memset(data, 7, sizeof(data));
	T_OK(vhdx_blk_write(blk, 0, data, sizeof(data), &t_err));
	T_OK(vhdx_blk_flush(blk, &t_err));
	while (vhdx_blk_turn(blk, 0))
		;
	trace->cnt = 0;
}

static void end(void)
{
	T_OK(vhdx_blk_close(blk, &t_err));
	loop_free(loop);
	memimg_free(&disk);
}

/* Since the last call, with all that goes on behind the answers. */
static unsigned syncs(void)
{
	unsigned cnt;

	while (vhdx_blk_turn(blk, 0))
		;
	cnt = file_trace_count(trace, FILE_SYNC, 0);
	trace->cnt = 0;
	return cnt;
}

static void write_at(uint64_t voff)
{
	T_OK(vhdx_blk_write(blk, voff, data, sizeof(data), &t_err));
}

static void a_flush_with_new_metadata_costs_two_syncs_at_most(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		begin(formats[i]);
		for (uint64_t n = 1; n < 20; n++) {
			write_at(n * MIB);
			T_OK(vhdx_blk_flush(blk, &t_err));
			T_TRUE(syncs() <= 2);
		}
		end();
	}
}

static void a_flush_without_new_metadata_costs_one(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		begin(formats[i]);
		for (uint64_t n = 1; n < 20; n++) {
			write_at(n * sizeof(data));
			T_OK(vhdx_blk_flush(blk, &t_err));
			T_EQ_U64(syncs(), 1);
		}
		end();
	}
}

static void a_flush_with_nothing_to_do_costs_none(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		begin(formats[i]);
		T_OK(vhdx_blk_read(blk, 0, data, sizeof(data), &t_err));
		T_OK(vhdx_blk_flush(blk, &t_err));
		T_OK(vhdx_blk_flush(blk, &t_err));
		T_EQ_U64(syncs(), 0);
		end();
	}
}

/* Before us there may have been somebody who was killed. */
static void the_first_flush_of_a_session_syncs(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		begin(formats[i]);
		T_OK(vhdx_blk_close(blk, &t_err));
		loop_free(loop);
		open_disk(formats[i], false);
		trace->cnt = 0;
		T_OK(vhdx_blk_flush(blk, &t_err));
		T_EQ_U64(syncs(), 1);
		T_OK(vhdx_blk_flush(blk, &t_err));
		T_EQ_U64(syncs(), 0);
		end();
	}
}

static void done(struct vhdx_req *req)
{
	done_cnt++;
	failed_cnt += req->result != 0;
}

static void submit(struct vhdx_req *req, enum vhdx_op op, uint64_t voff,
		   uint64_t len)
{
	iov = (struct iovec){ data, sizeof(data) };
	*req = (struct vhdx_req){ .op = op, .voff = voff, .len = len,
				  .iov = &iov, .iov_cnt = 1, .done = done };
	vhdx_blk_submit(blk, req);
}

static void wait_for(unsigned cnt)
{
	while (done_cnt < cnt)
		vhdx_blk_turn(blk, -1);
	T_EQ_U64(failed_cnt, 0);
}

static void a_write_that_ends_after_a_sync_began_wants_another(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct file_io *io;

		begin(formats[i]);
		done_cnt = failed_cnt = 0;
		write_at(8192); /* or the flush would have nothing to do */
		hold->holding = true;
		submit(&reqs[0], VHDX_OP_WRITE, 0, sizeof(data));
		io = file_hold_nth(hold, 0);
		hold->holding = false;
		T_OK(vhdx_blk_flush(blk, &t_err));
		T_EQ_U64(syncs(), 1);
		file_hold_let(hold, io);
		wait_for(1);
		T_OK(vhdx_blk_flush(blk, &t_err));
		T_EQ_U64(syncs(), 1);
		end();
	}
}

/* The first may be under way before the others are there: two rounds. */
static void flushes_at_once_share_their_syncs(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		begin(formats[i]);
		done_cnt = failed_cnt = 0;
		write_at(MIB);
		for (unsigned n = 0; n < CNT; n++)
			submit(&reqs[n], VHDX_OP_FLUSH, 0, 0);
		wait_for(CNT);
		T_TRUE(syncs() <= 4);
		end();
	}
}

static void flushes_among_writes_share_their_syncs(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		begin(formats[i]);
		done_cnt = failed_cnt = 0;
		for (unsigned n = 0; n < CNT; n++) {
			submit(&reqs[2 * n], VHDX_OP_WRITE, n * sizeof(data),
			       sizeof(data));
			submit(&reqs[2 * n + 1], VHDX_OP_FLUSH, 0, 0);
		}
		wait_for(2 * CNT);
		T_TRUE(syncs() <= 4);
		end();
	}
}

const struct t_suite t_suite_flush_cost = {
	"flush_cost",
	(const struct t_test[]){
	T_TEST(a_flush_with_new_metadata_costs_two_syncs_at_most),
	T_TEST(a_flush_without_new_metadata_costs_one),
	T_TEST(a_flush_with_nothing_to_do_costs_none),
	T_TEST(the_first_flush_of_a_session_syncs),
	T_TEST(a_write_that_ends_after_a_sync_began_wants_another),
	T_TEST(flushes_at_once_share_their_syncs),
	T_TEST(flushes_among_writes_share_their_syncs),
	T_END,
	},
};
