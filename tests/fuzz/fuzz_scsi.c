/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk and a hostile guest: CDBs and their data, several at a time, over
 * a host that fails and is full, with commands given up and the block device
 * exchanged between them.
 *
 * Oracles: every command is done exactly once, with a status that is one; no
 * byte beside a guest's buffer is touched, nor one inside that the guest only
 * gives; what was written is read back, as long as it is known what that is.
 */
#include <errno.h>
#include <string.h>

#include "blk.h"
#include "file_fault.h"
#include "fuzz.h"
#include "image.h"
#include "le.h"
#include "scsi.h"

#define DISK (4 * MIB)
#define CMDS 24u
#define GUARD 32u
#define GUARD_BYTE 0xa5
#define SECTOR 512u

struct guest_cmd {
	struct scsi_cmd cmd;
	struct iovec iov[4];
	uint8_t *raw;  /* GUARD, data, GUARD */
	uint8_t *copy; /* of what the guest gives */
	bool changed;  /* by the guest, meanwhile */
	bool done;
};

static struct {
	struct memimg img;
	struct file_fault *fault;
	struct vhdx_blk *blk;
	struct scsi_disk *disk;
	struct guest_cmd cmds[CMDS];
	unsigned cnt, done_cnt;
	bool one_by_one, quiet, quiesced;
	uint32_t sector_len;
	uint8_t model[DISK];
	bool known[DISK / SECTOR];
} s;

/* ---- the model ----------------------------------------------------------- */

static void forget(void)
{
	memset(s.known, 0, sizeof(s.known));
}

static void learn(uint64_t off, const uint8_t *data, uint64_t len)
{
	memcpy(s.model + off, data, len);
	memset(s.known + off / SECTOR, 1, len / SECTOR);
}

static void compare(uint64_t off, const uint8_t *data, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += SECTOR)
		ASSERT(!s.known[(off + at) / SECTOR] ||
		       !memcmp(s.model + off + at, data + at, SECTOR));
}

/* One command alone has ended. */
static void note(const struct guest_cmd *g)
{
	const uint8_t *cdb = g->cmd.cdb, *data = g->raw + GUARD;
	uint64_t off = (uint64_t)get_be32(cdb + 2) * s.sector_len;
	uint64_t len = (uint64_t)get_be16(cdb + 7) * s.sector_len;
	bool good = g->cmd.status == SCSI_GOOD;

	ASSERT(g->done);

	switch (cdb[0]) {
	case 0x28:
		if (!good)
			return;
		ASSERT(off + len <= DISK && g->cmd.moved_len == len);
		compare(off, data, len);
		learn(off, data, len);
		return;
	case 0x2a:
		if (good && !g->changed) {
			ASSERT(off + len <= DISK && g->cmd.moved_len == len);
			learn(off, data, len);
			return;
		}
		break;
	case 0x41:
		if (good && !g->changed) {
			ASSERT(off + len <= DISK);
			for (uint64_t at = 0; at < len; at += s.sector_len)
				learn(off + at, data, s.sector_len);
			return;
		}
		break;
	case 0x0a:
	case 0x42:
	case 0x8a:
	case 0x93:
	case 0xaa:
		break;
	default:
		return;
	}
	forget();
}

/* ---- the guest ----------------------------------------------------------- */

static void check_buffer(const struct guest_cmd *g)
{
	uint32_t len = g->cmd.data_len;

	for (unsigned i = 0; i < GUARD; i++) {
		ASSERT(g->raw[i] == GUARD_BYTE);
		ASSERT(g->raw[GUARD + len + i] == GUARD_BYTE);
	}
	if (g->cmd.dir != SCSI_TO_GUEST)
		ASSERT(!memcmp(g->raw + GUARD, g->copy, len));
}

static void done(struct scsi_cmd *c)
{
	struct guest_cmd *g = c->opaque;

	ASSERT(&g->cmd == c && !g->done);
	g->done = true;
	s.done_cnt++;
	ASSERT(c->moved_len <= c->data_len);
	if (c->status != SCSI_GOOD) {
		ASSERT(c->status == SCSI_CHECK_CONDITION);
		ASSERT(c->sense[0] == 0x70 && c->sense[2] && !c->moved_len);
	}
	ASSERT(!c->aborted || c->sense[2] == 0x0b);
	check_buffer(g);
}

static const uint8_t likely[] = {
	0x28, 0x2a, 0x42, 0x41, 0x93, 0x35, 0x9e, 0x2f, 0x88, 0x8a, 0x08, 0x0a,
	0xa8, 0xaa, 0x91, 0x12, 0x1a, 0x5a, 0x25, 0xa0, 0x03, 0x00, 0x1b, 0x8f,
};

/* A CDB that hits the disk now and then: small addresses and counts. */
static void make_cdb(struct fuzz_in *in, uint8_t *cdb)
{
	uint8_t op = fuzz_u8(in);

	for (unsigned i = 1; i < SCSI_CDB_MAX; i++)
		cdb[i] = fuzz_u8(in);
	cdb[0] = op;
	if (!(op & 0x80))
		return;
	cdb[0] = likely[(op & 0x7f) % ARRAY_LEN(likely)];
	switch (cdb[0] >> 5) {
	case 4:
		memset(cdb + 2, 0, 6);
		memset(cdb + 10, 0, 2);
		cdb[8] &= 0x1f;
		break;
	case 5:
		cdb[6] = cdb[7] = 0;
		__attribute__((fallthrough));
	default:
		cdb[2] = cdb[3] = 0;
		cdb[4] &= 0x1f;
	}
}

static uint32_t make_len(struct fuzz_in *in, const uint8_t *cdb)
{
	uint8_t how = fuzz_u8(in);

	if (how < 64)
		return how;
	if (how < 128)
		return (how - 63u) * 512;
	if (how < 192)
		return (how - 127u) * 4096 + (how & 1);
	return (uint32_t)u64_min((uint64_t)get_be16(cdb + 7) * s.sector_len,
				 256 * KIB);
}

/* Data: an UNMAP list from the input, else a byte all over. */
static void make_data(struct fuzz_in *in, struct guest_cmd *g)
{
	uint32_t len = g->cmd.data_len;
	uint8_t *data = g->raw + GUARD;

	memset(g->raw, GUARD_BYTE, len + 2 * GUARD);
	memset(data, fuzz_u8(in) & 0x83, len);
	if (g->cmd.cdb[0] != 0x42)
		return;
	for (uint32_t i = 0; i < u64_min(len, 72); i++)
		data[i] = fuzz_u8(in);
	if (len >= 8 && data[0] & 0x80)
		put_be16(data + 2, (uint16_t)(len - 8));
	for (uint32_t at = 8; data[0] & 0x80 && at + 16 <= len; at += 16) {
		memset(data + at, 0, 6); /* small ones */
		memset(data + at + 8, 0, 2);
	}
}

static void send_one(struct fuzz_in *in)
{
	struct guest_cmd *g = &s.cmds[s.cnt];
	uint8_t how;

	if (s.cnt == CMDS)
		return;
	s.cnt++;
	memset(g, 0, sizeof(*g));
	make_cdb(in, g->cmd.cdb);
	how = fuzz_u8(in);
	g->cmd.dir = how & 1 ? SCSI_TO_GUEST : SCSI_FROM_GUEST;
	if ((how & 0xe) == 0xe)
		g->cmd.dir = SCSI_NONE;
	g->cmd.data_len = make_len(in, g->cmd.cdb);
	g->raw = malloc(g->cmd.data_len + 2 * GUARD);
	g->copy = malloc(g->cmd.data_len + 1);
	ASSERT(g->raw && g->copy);
	make_data(in, g);
	memcpy(g->copy, g->raw + GUARD, g->cmd.data_len);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t from = g->cmd.data_len / 4 * i;
		uint32_t to = i < 3 ? g->cmd.data_len / 4 * (i + 1) :
				      g->cmd.data_len;

		g->iov[i] = (struct iovec){ g->raw + GUARD + from, to - from };
	}
	g->cmd.iov = g->iov;
	g->cmd.iov_cnt = 4;
	g->cmd.done = done;
	g->cmd.opaque = g;
	scsi_submit(s.disk, &g->cmd);
	if (how & 0x80 && !g->done && g->cmd.dir == SCSI_FROM_GUEST) {
		g->changed = true;
		memset(g->raw + GUARD, how, g->cmd.data_len);
		memset(g->copy, how, g->cmd.data_len);
	}
}

/* ---- the host ------------------------------------------------------------ */

static void turn(unsigned max)
{
	while (max-- && loop_turn(fuzz_loop(), 0))
		;
}

static void quiet(void *arg)
{
	(void)arg;
	s.quiet = true;
}

/* With the same one, which nothing has been lost of. */
static void swap(void)
{
	if (!s.quiet)
		return;
	s.quiet = s.quiesced = false;
	scsi_swap(s.disk, s.blk);
}

static void set_fault(struct fuzz_in *in)
{
	static const unsigned ops[] = {
		1u << FILE_TRUNCATE, 1u << FILE_WRITE, 1u << FILE_SYNC,
		1u << FILE_READ, FAULT_ANY_CHANGE, FAULT_ANY, 0, 0,
	};
	uint8_t how = fuzz_u8(in);

	fault_set(s.fault, (struct fault_rule){
		.ops = ops[how & 7], .nth = 1u + ((how >> 3) & 7),
		.sys_errno = how & 0x40 ? EIO : ENOSPC,
		.sticky = how & 0x80 });
}

static void act(struct fuzz_in *in)
{
	uint8_t what = fuzz_u8(in);

	if (s.one_by_one || what < 128) {
		send_one(in);
	} else if (what < 160) {
		turn(what & 15);
	} else if (what < 180) {
		scsi_resume(s.disk);
	} else if (what < 190) {
		scsi_abort_all(s.disk);
	} else if (what < 210) {
		swap();
	} else if (what < 225 && !s.quiesced) {
		s.quiesced = true;
		scsi_quiesce(s.disk, quiet, NULL);
	} else {
		set_fault(in);
	}
	if (!s.one_by_one)
		return;
	turn(UINT32_MAX);
	if (s.cnt)
		note(&s.cmds[s.cnt - 1]);
}

/* ---- the disk ------------------------------------------------------------ */

static void open_disk(bool read_only, enum scsi_nospc nospc)
{
	static struct memimg blank[2];
	struct memimg *b = &blank[s.sector_len == 4096];
	struct vhdx_create_opts c = {
		.format = VHDX_FORMAT_VHDX, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true, .size_len = DISK, .block_len = MIB,
		.sector_len = s.sector_len, .physical_sector_len = 4096,
	};
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct scsi_conf conf = { .read_only = read_only, .nospc = nospc };
	struct image *img;
	struct file *f;

	if (!b->size) {
		f = fuzz_file(b, true);
		ASSERT(vhdx_image_create(f, &c, NULL) == 0);
		file_close(f);
	}
	memimg_clone(&s.img, b);
	ASSERT(file_fault_new(fuzz_file(&s.img, true), &s.fault, NULL) == 0);
	ASSERT(vhdx_image_open(&s.fault->w.file, &o, &img, NULL) == 0);
	ASSERT(blk_new(img, fuzz_loop(), false, &s.blk, NULL) == 0);
	conf.blk = s.blk;
	ASSERT(scsi_disk_create(&conf, &s.disk, NULL) == 0);
}

/* Whatever there is ends now. */
static void close_disk(void)
{
	struct scsi_stats st;

	fault_set(s.fault, (struct fault_rule){ 0 });
	turn(UINT32_MAX);
	swap();
	scsi_resume(s.disk);
	turn(UINT32_MAX);
	scsi_stats(s.disk, &st);
	ASSERT(st.in_flight == 0 && s.done_cnt == s.cnt && !st.paused);
	for (unsigned i = 0; i < s.cnt; i++) {
		ASSERT(s.cmds[i].done);
		check_buffer(&s.cmds[i]);
		free(s.cmds[i].raw);
		free(s.cmds[i].copy);
	}
	scsi_disk_destroy(s.disk);
	(void)!vhdx_blk_close(s.blk, NULL);
	memimg_free(&s.img);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	uint8_t how = fuzz_u8(&in);

	s.cnt = s.done_cnt = 0;
	s.quiet = s.quiesced = false;
	s.one_by_one = how & 8;
	s.sector_len = how & 1 ? 4096 : 512;
	forget();
	open_disk((how & 6) == 6, how & 2 ? SCSI_NOSPC_REPORT :
					    SCSI_NOSPC_PAUSE);
	for (unsigned i = 0; in.len && i < 64; i++)
		act(&in);
	close_disk();
	return 0;
}
