/* SPDX-License-Identifier: MIT */
/*
 * Commands that cannot simply be carried out: the host fails, is full, or is
 * slow; they are given up; the block device is exchanged beneath them. Each is
 * done once (t_scsi_close() looks).
 */
#include <errno.h>
#include <string.h>

#include "mem.h"
#include "t.h"
#include "t_scsi.h"

#define READ_0 "28 00 00000000 00 0001 00"
#define WRITE_0 "2a 00 00000000 00 0001 00"
#define WRITE_4M "2a 00 00002000 00 0001 00" /* a block without space */
#define SYNC "35 00 00000000 00 0000 00"
#define SAME_0 "93 00 0000000000000000 00004000 00 00" /* all of 8 MiB */
#define READY "00 00 00 00 00 00"
#define INQUIRY "12 00 00 0024 00"
#define MODE "1a 08 08 00 20 00"
#define CAPACITY "25 00 00000000 0000 00 00"

static const struct t_scsi_opts pausing = { .nospc = SCSI_NOSPC_PAUSE };
static const struct t_scsi_opts reporting = { .nospc = SCSI_NOSPC_REPORT };

static unsigned run(const char *cdb, enum scsi_dir dir, uint32_t len)
{
	return t_scsi_sense(t_scsi_run(cdb, dir, len));
}

static struct t_scsi_cmd *start(const char *cdb, enum scsi_dir dir,
				uint32_t len)
{
	struct t_scsi_cmd *c = t_scsi_make(cdb, dir, len);

	t_scsi_submit(c);
	t_scsi_turn();
	return c;
}

static struct scsi_stats stats(void)
{
	struct scsi_stats st;

	scsi_stats(t_scsi.disk, &st);
	return st;
}

static void fail(unsigned ops, int sys_errno)
{
	fault_set(t_scsi.fault, (struct fault_rule){
		.ops = ops, .nth = 1, .sys_errno = sys_errno, .sticky = true });
}

static void host_full(void)
{
	fail(1u << FILE_TRUNCATE, ENOSPC);
}

/* The nth write to the file, and only that, finds no space. */
static void host_full_once(uint64_t nth)
{
	fault_set(t_scsi.fault, (struct fault_rule){
		.ops = 1u << FILE_WRITE, .nth = nth, .sys_errno = ENOSPC });
}

static void host_well(void)
{
	fault_set(t_scsi.fault, (struct fault_rule){ 0 });
}

/* ---- errors -------------------------------------------------------------- */

static void each_code_has_its_sense(void)
{
	static const struct {
		int code;
		enum vhdx_op op;
		unsigned sense;
	} want[] = {
		{ VHDX_E_IO, VHDX_OP_READ, 0x031100 },
		{ VHDX_E_IO, VHDX_OP_WRITE, 0x030c00 },
		{ VHDX_E_IO, VHDX_OP_FLUSH, 0x030c00 },
		{ VHDX_E_CORRUPT, VHDX_OP_MAP, 0x031100 },
		{ VHDX_E_NOPARENT, VHDX_OP_READ, 0x031100 },
		{ VHDX_E_READONLY, VHDX_OP_WRITE, 0x072700 },
		{ VHDX_E_NOSPC, VHDX_OP_WRITE, 0x072707 },
		{ VHDX_E_RANGE, VHDX_OP_READ, 0x052100 },
		{ VHDX_E_NOMEM, VHDX_OP_READ, 0x0b5503 },
		{ VHDX_E_CANCELED, VHDX_OP_READ, 0x0b0000 },
		{ VHDX_E_FAILED, VHDX_OP_WRITE, 0x044400 },
		{ VHDX_E_INVAL, VHDX_OP_READ, 0x044400 },
		{ 0, VHDX_OP_READ, 0x044400 },
		{ -1, VHDX_OP_READ, 0x044400 },
		{ 1000, VHDX_OP_READ, 0x044400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		T_EQ_U64(sense_of(want[i].code, want[i].op), want[i].sense);
}

static void a_host_that_cannot_read_is_a_medium_error(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	fail(1u << FILE_READ, EIO);
	T_EQ_U64(run(READ_0, SCSI_TO_GUEST, 512), SENSE_READ_ERROR);
	T_EQ_U64(run("2f 00 00000000 00 0001 00", SCSI_NONE, 0),
		 SENSE_READ_ERROR);
	T_EQ_U64(stats().error_cnt, 2);
	host_well();
	T_EQ_U64(t_scsi_byte_at(0, 1), 1);
	t_scsi_close();
}

static void a_sync_that_failed_is_never_called_good_later(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	fail(1u << FILE_SYNC, EIO);
	T_EQ_U64(run(SYNC, SCSI_NONE, 0), SENSE_HARDWARE);
	host_well();
	T_EQ_U64(run(SYNC, SCSI_NONE, 0), SENSE_HARDWARE);
	T_EQ_U64(t_scsi_write(0, 1, 2), SENSE_HARDWARE);
	T_EQ_U64(t_scsi_byte_at(0, 1), 1);
	t_scsi_close();
}

static void a_write_with_fua_fails_with_its_sync(void)
{
	t_scsi_open(NULL);
	fail(1u << FILE_SYNC, EIO);
	T_EQ_U64(run("2a 08 00000000 00 0001 00", SCSI_FROM_GUEST, 512),
		 SENSE_HARDWARE);
	t_scsi_close();
}

/* ---- no space ------------------------------------------------------------ */

static void a_full_host_is_reported_if_so_configured(void)
{
	t_scsi_open(&reporting);
	host_full();
	T_EQ_U64(run(WRITE_4M, SCSI_FROM_GUEST, 512), SENSE_NO_SPACE);
	T_EQ_U64(t_scsi.paused_cnt, 0);
	host_well();
	T_EQ_U64(run(WRITE_4M, SCSI_FROM_GUEST, 512), 0);
	t_scsi_close();
}

static void a_full_host_keeps_the_write_until_there_is_space(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&pausing);
	host_full();
	c = start(WRITE_4M, SCSI_FROM_GUEST, 512);
	T_EQ_U64(c->done_cnt, 0);
	T_EQ_U64(t_scsi.paused_cnt, 1);
	T_TRUE(stats().paused);
	host_well();
	scsi_resume(t_scsi.disk);
	T_EQ_U64(t_scsi.resumed_cnt, 0); /* not before it is certain */
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(t_scsi.resumed_cnt, 1);
	T_TRUE(!stats().paused);
	T_EQ_U64(t_scsi_byte_at(0x2000, 1), 0xee);
	t_scsi_close();
}

static void what_needs_no_space_goes_on_meanwhile(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&pausing);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	host_full_once(1);
	c = start(WRITE_4M, SCSI_FROM_GUEST, 512);
	T_EQ_U64(c->done_cnt, 0);
	T_EQ_U64(t_scsi_byte_at(0, 1), 1);
	T_EQ_U64(t_scsi_write(0, 1, 2), 0);
	T_EQ_U64(t_scsi_byte_at(0, 1), 2);
	T_EQ_U64(run(SYNC, SCSI_NONE, 0), 0);
	T_TRUE(stats().paused);
	T_EQ_U64(stats().in_flight, 1);
	scsi_resume(t_scsi.disk);
	t_scsi_close();
}

static void a_resume_too_early_waits_on_and_says_nothing(void)
{
	struct t_scsi_cmd *a, *b;

	t_scsi_open(&pausing);
	host_full();
	a = start(WRITE_4M, SCSI_FROM_GUEST, 512);
	b = start("2a 00 00003000 00 0001 00", SCSI_FROM_GUEST, 512);
	for (unsigned i = 0; i < 3; i++) {
		scsi_resume(t_scsi.disk);
		t_scsi_turn();
	}
	T_EQ_U64(a->done_cnt + b->done_cnt, 0);
	T_EQ_U64(t_scsi.paused_cnt, 1);
	T_EQ_U64(t_scsi.resumed_cnt, 0);
	host_well();
	scsi_resume(t_scsi.disk);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(a) + t_scsi_sense(b), 0);
	T_EQ_U64(t_scsi.resumed_cnt, 1);
	t_scsi_close();
}

static void a_write_same_waits_for_space_in_the_middle(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&pausing);
	host_full_once(4);
	c = start(SAME_0, SCSI_FROM_GUEST, 512);
	T_EQ_U64(c->done_cnt, 0);
	T_TRUE(stats().paused);
	memset(c->data, 0xdd, 512);
	T_EQ_U64(run(SAME_0, SCSI_FROM_GUEST, 512), 0); /* pattern[] is free */
	T_EQ_U64(t_scsi_byte_at(0x3800, 0x800), 0xee);
	scsi_resume(t_scsi.disk);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(t_scsi_byte_at(0, 0x800), 0xdd);
	T_EQ_U64(t_scsi_byte_at(0x3800, 0x800), 0xdd);
	t_scsi_close();
}

static void resume_now(void *arg, bool yes)
{
	t_scsi.paused_cnt += yes;
	t_scsi.resumed_cnt += !yes;
	if (yes) {
		host_well();
		scsi_resume(*(struct scsi_disk **)arg);
	}
}

static void a_resume_from_inside_the_callback_is_a_resume(void)
{
	struct scsi_conf conf = { .paused = resume_now, .arg = &t_scsi.disk };

	t_scsi_open(NULL);
	scsi_disk_destroy(t_scsi.disk);
	conf.blk = t_scsi.blk;
	T_OK(scsi_disk_create(&conf, &t_scsi.disk, &t_err));
	host_full();
	T_EQ_U64(run(WRITE_4M, SCSI_FROM_GUEST, 512), 0);
	T_EQ_U64(t_scsi.paused_cnt, 1);
	T_EQ_U64(t_scsi.resumed_cnt, 1);
	t_scsi_close();
}

/* ---- giving up ----------------------------------------------------------- */

static void what_waits_for_space_is_given_up_at_once(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&pausing);
	host_full();
	c = start(WRITE_4M, SCSI_FROM_GUEST, 512);
	scsi_abort_all(t_scsi.disk);
	T_EQ_U64(t_scsi_sense(c), SENSE_ABORTED);
	T_TRUE(c->cmd.aborted);
	T_EQ_U64(t_scsi.resumed_cnt, 1);
	t_scsi_close();
}

static void what_the_host_has_begun_is_waited_for(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	t_scsi.hold->holding = true;
	c = start(READ_0, SCSI_TO_GUEST, 512);
	scsi_abort_all(t_scsi.disk);
	t_scsi_turn();
	T_EQ_U64(c->done_cnt, 0);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0); /* it was done, and says so */
	T_TRUE(!c->cmd.aborted);
	t_scsi_close();
}

static void what_the_host_has_not_begun_is_left_out(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0x800, 1, 1), 0); /* not side by side */
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	t_scsi.hold->holding = true;
	c = start("28 00 00000400 00 0800 00", SCSI_TO_GUEST, 0x800 * 512);
	T_EQ_U64(t_scsi.hold->held_cnt, 1);
	scsi_abort_all(t_scsi.disk);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), SENSE_ABORTED);
	T_TRUE(c->cmd.aborted);
	t_scsi_close();
}

static void what_is_given_up_does_not_wait_for_space(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&pausing);
	t_scsi.hold->holding = true;
	c = start(WRITE_4M, SCSI_FROM_GUEST, 512);
	host_full();
	scsi_abort_all(t_scsi.disk);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), SENSE_ABORTED);
	T_TRUE(c->cmd.aborted);
	T_EQ_U64(t_scsi.paused_cnt, 0);
	t_scsi_close();
}

static void a_long_command_is_given_up_in_the_middle(void)
{
	struct t_scsi_cmd *c, *next;

	t_scsi_open(NULL);
	t_scsi.hold->holding = true;
	c = start(SAME_0, SCSI_FROM_GUEST, 512);
	next = start(SAME_0, SCSI_FROM_GUEST, 512);
	scsi_abort_all(t_scsi.disk);
	T_EQ_U64(t_scsi_sense(next), SENSE_ABORTED);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), SENSE_ABORTED);
	T_TRUE(c->cmd.aborted);
	T_EQ_U64(t_scsi_byte_at(0x2000, 1), 0);
	T_EQ_U64(run(SAME_0, SCSI_FROM_GUEST, 512), 0); /* pattern[] is free */
	t_scsi_close();
}

static void one_is_given_up_and_the_others_go_on(void)
{
	struct t_scsi_cmd *a, *b, *c, *d;

	t_scsi_open(NULL);
	T_TRUE(!scsi_is_working(t_scsi.disk));
	t_scsi.hold->holding = true;
	a = start(SAME_0, SCSI_FROM_GUEST, 512);
	b = start(SAME_0, SCSI_FROM_GUEST, 512); /* waits for pattern[] */
	c = start(SAME_0, SCSI_FROM_GUEST, 512);
	d = start(WRITE_0, SCSI_FROM_GUEST, 512);
	T_TRUE(scsi_is_working(t_scsi.disk));
	scsi_abort(&b->cmd);
	T_EQ_U64(t_scsi_sense(b), SENSE_ABORTED);
	scsi_abort(&a->cmd);
	T_EQ_U64(a->done_cnt, 0); /* the host has it */
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(a), SENSE_ABORTED);
	T_EQ_U64(t_scsi_sense(c) + t_scsi_sense(d), 0);
	T_EQ_U64(t_scsi_byte_at(0x3fff, 1), 0xee);
	t_scsi_close();
}

static void what_comes_after_giving_up_is_not_given_up(void)
{
	t_scsi_open(NULL);
	t_scsi.hold->holding = true;
	start(SAME_0, SCSI_FROM_GUEST, 512);
	scsi_abort_all(t_scsi.disk);
	start(SAME_0, SCSI_FROM_GUEST, 512);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(&t_scsi.cmds[1]), 0);
	T_EQ_U64(t_scsi_byte_at(0x3fff, 1), 0xee);
	t_scsi_close();
}

/* ---- another block device ------------------------------------------------ */

static void quiet(void *arg)
{
	T_TRUE(arg == &t_scsi);
	t_scsi.quiet_cnt++;
}

static void quiesce(void)
{
	scsi_quiesce(t_scsi.disk, quiet, &t_scsi);
}

static void an_idle_disk_is_quiet_at_once(void)
{
	t_scsi_open(NULL);
	quiesce();
	T_EQ_U64(t_scsi.quiet_cnt, 1);
	scsi_swap(t_scsi.disk, t_scsi.blk);
	T_EQ_U64(run(READY, SCSI_NONE, 0), 0); /* nothing has changed */
	t_scsi_close();
}

static void it_is_quiet_when_the_last_is_done_and_later_ones_wait(void)
{
	struct t_scsi_cmd *a, *b;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	t_scsi.hold->holding = true;
	a = start(READ_0, SCSI_TO_GUEST, 512);
	quiesce();
	T_EQ_U64(t_scsi.quiet_cnt, 0);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(a->done_cnt, 1);
	T_EQ_U64(t_scsi.quiet_cnt, 1);
	b = start(READ_0, SCSI_TO_GUEST, 512);
	T_EQ_U64(b->done_cnt, 0);
	scsi_swap(t_scsi.disk, t_scsi.blk);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(b), 0);
	T_EQ_U64(t_scsi.quiet_cnt, 1);
	t_scsi_close();
}

static void a_long_command_stops_for_the_swap_and_begins_again(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	t_scsi.hold->holding = true;
	c = start(SAME_0, SCSI_FROM_GUEST, 512);
	quiesce();
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi.quiet_cnt, 1);
	T_EQ_U64(c->done_cnt, 0);
	T_EQ_U64(stats().in_flight, 1);
	scsi_swap(t_scsi.disk, t_scsi.blk);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(t_scsi_byte_at(0x3fff, 1), 0xee);
	t_scsi_close();
}

static unsigned last_lba(void)
{
	struct t_scsi_cmd *c = t_scsi_run(CAPACITY, SCSI_TO_GUEST, 8);

	T_EQ_U64(t_scsi_sense(c), 0);
	return (unsigned)c->data[0] << 24 | (unsigned)c->data[1] << 16 |
	       (unsigned)c->data[2] << 8 | c->data[3];
}

static void another_size_is_told_once(void)
{
	t_scsi_open(NULL);
	T_EQ_U64(last_lba(), 0x3fff);
	quiesce();
	t_scsi_swap(16 * MIB, 512);
	T_EQ_U64(run(READY, SCSI_NONE, 0), SENSE_CAPACITY);
	T_EQ_U64(run(READY, SCSI_NONE, 0), 0);
	T_EQ_U64(last_lba(), 0x7fff);
	T_EQ_U64(t_scsi_write(0x7fff, 1, 1), 0);
	t_scsi_close();
}

static void what_waited_is_judged_by_the_new_disk(void)
{
	struct t_scsi_cmd *a, *b, *c;

	t_scsi_open(NULL);
	quiesce();
	a = start(READ_0, SCSI_TO_GUEST, 512);
	b = start("28 00 00003fff 00 0001 00", SCSI_TO_GUEST, 512);
	c = start(READ_0, SCSI_TO_GUEST, 512);
	t_scsi_swap(4 * MIB, 512);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(a), SENSE_CAPACITY);
	T_EQ_U64(t_scsi_sense(b), SENSE_LBA);
	T_EQ_U64(t_scsi_sense(c), 0);
	t_scsi_close();
}

static void space_waiter_meets_swap(bool resume)
{
	struct t_scsi_cmd *c;

	t_scsi_open(&pausing);
	host_full();
	c = start(WRITE_4M, SCSI_FROM_GUEST, 512);
	quiesce();
	T_EQ_U64(t_scsi.quiet_cnt, 1);
	if (resume)
		scsi_resume(t_scsi.disk);
	t_scsi_turn();
	T_EQ_U64(c->done_cnt, 0);
	host_well();
	t_scsi_swap(8 * MIB, 512);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(t_scsi_byte_at(0x2000, 1), 0xee);
	T_EQ_U64(t_scsi.resumed_cnt, 1);
	t_scsi_close();
}

static void a_write_that_waits_for_space_goes_to_the_new_disk(void)
{
	space_waiter_meets_swap(false);
	space_waiter_meets_swap(true);
}

static void what_waits_for_a_swap_can_be_given_up(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	quiesce();
	c = start(WRITE_0, SCSI_FROM_GUEST, 512);
	scsi_abort_all(t_scsi.disk);
	T_EQ_U64(t_scsi_sense(c), SENSE_ABORTED);
	scsi_swap(t_scsi.disk, t_scsi.blk);
	T_EQ_U64(t_scsi_byte_at(0, 1), 0);
	t_scsi_close();
}

static void swap_inside(void *arg)
{
	t_scsi.quiet_cnt++;
	scsi_swap(arg, t_scsi.blk);
}

static void a_swap_from_inside_the_callback_is_a_swap(void)
{
	struct t_scsi_cmd *a, *b;

	t_scsi_open(NULL);
	T_EQ_U64(t_scsi_write(0, 1, 1), 0);
	t_scsi.hold->holding = true;
	a = start(READ_0, SCSI_TO_GUEST, 512);
	scsi_quiesce(t_scsi.disk, swap_inside, t_scsi.disk);
	b = start(READ_0, SCSI_TO_GUEST, 512);
	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(a) + t_scsi_sense(b), 0);
	T_EQ_U64(b->data[0], 1);
	T_EQ_U64(t_scsi.quiet_cnt, 1);
	t_scsi_close();
}

static void what_else_has_changed_is_told_once(void)
{
	struct t_scsi_opts o = { .physical_len = 512 };

	t_scsi_open(&o);
	quiesce();
	t_scsi_swap(8 * MIB, 512);
	T_EQ_U64(run(READY, SCSI_NONE, 0), SENSE_OPERATING);
	T_EQ_U64(run(READY, SCSI_NONE, 0), 0);
	quiesce();
	t_scsi_swap(8 * MIB, 4096);
	T_EQ_U64(run(READ_0, SCSI_TO_GUEST, 4096), SENSE_CAPACITY);
	T_EQ_U64(run(READ_0, SCSI_TO_GUEST, 4096), 0);
	t_scsi_close();
}

/* hv_storvsc would take the refusal for an answer. */
static void attention_does_not_stop_inquiry_and_mode_sense(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	quiesce();
	t_scsi_swap(16 * MIB, 512);
	T_EQ_U64(run(INQUIRY, SCSI_TO_GUEST, 36), 0);
	T_EQ_U64(run("a0 00 00 000000 00000100 00 00", SCSI_TO_GUEST, 256), 0);
	c = t_scsi_run(MODE, SCSI_TO_GUEST, 32);
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->data[6] & 0x04, 0x04); /* write cache */
	T_EQ_U64(run(READ_0, SCSI_TO_GUEST, 512), SENSE_CAPACITY);
	t_scsi_close();
}

static void attention_can_be_asked_for(void)
{
	struct t_scsi_cmd *c;

	t_scsi_open(NULL);
	quiesce();
	t_scsi_swap(16 * MIB, 512);
	T_EQ_U64(run("03 00 00 00 02 00", SCSI_TO_GUEST, 2), 0); /* too short */
	c = t_scsi_run("03 00 00 00 12 00", SCSI_TO_GUEST, 18);
	T_EQ_U64(t_scsi_sense(c), 0);
	T_EQ_U64(c->data[2], 6);
	T_EQ_U64(c->data[12], 0x2a);
	T_EQ_U64(c->data[13], 0x09);
	T_EQ_U64(run(READY, SCSI_NONE, 0), 0);
	c = t_scsi_run("03 01 00 00 12 00", SCSI_TO_GUEST, 18);
	T_EQ_U64(c->cmd.moved_len, 8);
	T_EQ_U64(c->data[0], 0x72);
	T_EQ_U64(c->data[1], 0);
	t_scsi_close();
}

/* ---- the caller ---------------------------------------------------------- */

static unsigned again_cnt;

static void submit_again(struct scsi_cmd *c)
{
	if (++again_cnt < 8)
		scsi_submit(c->opaque, c);
}

static void again(const char *cdb, uint32_t len)
{
	struct t_scsi_cmd *c = t_scsi_make(cdb, SCSI_TO_GUEST, len);

	c->cmd.done = submit_again;
	c->cmd.opaque = t_scsi.disk;
	again_cnt = 0;
	t_scsi_submit(c);
	t_scsi_turn();
	T_EQ_U64(again_cnt, 8);
	c->done_cnt = 1;
}

static void a_command_may_be_submitted_again_from_its_end(void)
{
	t_scsi_open(NULL);
	again(READY, 0);
	again(READ_0, 512);
	T_EQ_U64(stats().read_cnt, 8);
	T_EQ_U64(stats().read_len, 8 * 512);
	again(SAME_0, 512);
	t_scsi_close();
}

static void every_allocation_of_a_disk_may_fail(void)
{
	struct scsi_conf conf = { 0 };
	struct scsi_disk *d;
	uint64_t live;

	t_scsi_open(NULL);
	conf.blk = t_scsi.blk;
	live = mem_live_cnt();
	for (uint64_t n = 1; n <= 3; n++) {
		mem_fail_nth(n);
		T_FAILS(scsi_disk_create(&conf, &d, &t_err), VHDX_E_NOMEM, "");
		T_TRUE(!d);
	}
	mem_fail_nth(0);
	T_EQ_U64(mem_live_cnt(), live);
	t_scsi_close();
}

static const struct t_test tests[] = {
	T_TEST(each_code_has_its_sense),
	T_TEST(a_host_that_cannot_read_is_a_medium_error),
	T_TEST(a_sync_that_failed_is_never_called_good_later),
	T_TEST(a_write_with_fua_fails_with_its_sync),
	T_TEST(a_full_host_is_reported_if_so_configured),
	T_TEST(a_full_host_keeps_the_write_until_there_is_space),
	T_TEST(what_needs_no_space_goes_on_meanwhile),
	T_TEST(a_resume_too_early_waits_on_and_says_nothing),
	T_TEST(a_write_same_waits_for_space_in_the_middle),
	T_TEST(a_resume_from_inside_the_callback_is_a_resume),
	T_TEST(what_waits_for_space_is_given_up_at_once),
	T_TEST(what_the_host_has_begun_is_waited_for),
	T_TEST(what_the_host_has_not_begun_is_left_out),
	T_TEST(what_is_given_up_does_not_wait_for_space),
	T_TEST(a_long_command_is_given_up_in_the_middle),
	T_TEST(one_is_given_up_and_the_others_go_on),
	T_TEST(what_comes_after_giving_up_is_not_given_up),
	T_TEST(an_idle_disk_is_quiet_at_once),
	T_TEST(it_is_quiet_when_the_last_is_done_and_later_ones_wait),
	T_TEST(a_long_command_stops_for_the_swap_and_begins_again),
	T_TEST(another_size_is_told_once),
	T_TEST(what_waited_is_judged_by_the_new_disk),
	T_TEST(a_write_that_waits_for_space_goes_to_the_new_disk),
	T_TEST(what_waits_for_a_swap_can_be_given_up),
	T_TEST(a_swap_from_inside_the_callback_is_a_swap),
	T_TEST(what_else_has_changed_is_told_once),
	T_TEST(attention_does_not_stop_inquiry_and_mode_sense),
	T_TEST(attention_can_be_asked_for),
	T_TEST(a_command_may_be_submitted_again_from_its_end),
	T_TEST(every_allocation_of_a_disk_may_fail),
	T_END,
};

const struct t_suite t_suite_scsi_wait = { "scsi_wait", tests };
