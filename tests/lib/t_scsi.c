/* SPDX-License-Identifier: MIT */
#include "t_scsi.h"

#include <string.h>

#include "blk.h"
#include "file_mem.h"
#include "le.h"
#include "t.h"

struct t_scsi t_scsi;

static struct vhdx_blk *open_blk(const struct t_scsi_opts *opts)
{
	struct vhdx_create_opts c = {
		.format = VHDX_FORMAT_VHDX, .type = VHDX_TYPE_DYNAMIC,
		.type_given = true,
		.size_len = opts->size_len ? opts->size_len : 8 * MIB,
		.block_len = opts->block_len ? opts->block_len : MIB,
		.sector_len = opts->sector_len ? opts->sector_len : 512,
		.physical_sector_len = opts->physical_len ?
				       opts->physical_len : 4096,
	};
	struct image_open_opts o = { .flags = VHDX_OPEN_WRITE };
	struct vhdx_blk *blk;
	struct image *img;
	struct file *f;

	T_OK(file_mem_new(t_scsi.loop, "disk", &t_scsi.img, &f, &t_err));
	T_OK(file_fault_new(f, &t_scsi.fault, &t_err));
	T_OK(file_hold_new(&t_scsi.fault->w.file, &t_scsi.hold, &t_err));
	T_OK(vhdx_image_create(&t_scsi.hold->w.file, &c, &t_err));
	T_OK(vhdx_image_open(&t_scsi.hold->w.file, &o, &img, &t_err));
	T_OK(blk_new(img, t_scsi.loop, false, &blk, &t_err));
	return blk;
}

static void paused(void *arg, bool yes)
{
	T_TRUE(arg == &t_scsi);
	t_scsi.paused_cnt += yes;
	t_scsi.resumed_cnt += !yes;
}

void t_scsi_open(const struct t_scsi_opts *opts)
{
	struct t_scsi_opts o = opts ? *opts : (struct t_scsi_opts){ 0 };
	struct scsi_conf conf = {
		.read_only = o.read_only, .nospc = o.nospc,
		.paused = paused, .arg = &t_scsi,
	};

	memset(&t_scsi, 0, sizeof(t_scsi));
	T_OK(loop_new(&t_scsi.loop, &t_err));
	t_scsi.blk = open_blk(&o);
	conf.blk = t_scsi.blk;
	for (unsigned i = 0; i < 16; i++)
		conf.id[i] = (uint8_t)(0xa0 + i);
	T_OK(scsi_disk_create(&conf, &t_scsi.disk, &t_err));
}

void t_scsi_free_cmds(void)
{
	for (unsigned i = 0; i < t_scsi.cnt; i++) {
		struct t_scsi_cmd *c = &t_scsi.cmds[i];

		T_EQ_U64(c->done_cnt, 1);
		for (unsigned n = 0; n < T_SCSI_SPARE; n++)
			T_EQ_U64(c->data[c->cmd.data_len + n], 0xee);
		free(c->data);
	}
	t_scsi.cnt = 0;
}

void t_scsi_close(void)
{
	struct scsi_stats st;

	file_hold_end(t_scsi.hold);
	t_scsi_turn();
	scsi_stats(t_scsi.disk, &st);
	T_EQ_U64(st.in_flight, 0);
	t_scsi_free_cmds();
	scsi_disk_destroy(t_scsi.disk);
	fault_set(t_scsi.fault, (struct fault_rule){ 0 });
	(void)!vhdx_blk_close(t_scsi.blk, NULL);
	loop_free(t_scsi.loop);
	memimg_free(&t_scsi.img);
}

void t_scsi_swap(uint64_t size_len, uint32_t sector_len)
{
	struct t_scsi_opts o = { .size_len = size_len,
				 .sector_len = sector_len };

	T_OK(vhdx_blk_close(t_scsi.blk, &t_err));
	memimg_free(&t_scsi.img);
	t_scsi.blk = open_blk(&o);
	scsi_swap(t_scsi.disk, t_scsi.blk);
}

static void done(struct scsi_cmd *cmd)
{
	struct t_scsi_cmd *c = cmd->opaque;

	T_TRUE(cmd == &c->cmd);
	c->done_cnt++;
	t_scsi.done_cnt++;
}

struct t_scsi_cmd *t_scsi_make(const char *cdb, enum scsi_dir dir,
			       uint32_t data_len)
{
	struct t_scsi_cmd *c = &t_scsi.cmds[t_scsi.cnt++];
	uint32_t third = data_len / 3;

	T_TRUE(t_scsi.cnt <= T_SCSI_CMDS);
	memset(c, 0xdb, sizeof(*c)); /* nothing of it is to be relied upon */
	memset(c->cmd.cdb, 0, sizeof(c->cmd.cdb));
	t_hex(c->cmd.cdb, cdb);
	c->done_cnt = 0;
	c->data = malloc(data_len + T_SCSI_SPARE);
	T_TRUE(c->data);
	memset(c->data, 0xee, data_len + T_SCSI_SPARE);
	c->iov[0] = (struct iovec){ c->data, third };
	c->iov[1] = (struct iovec){ c->data + third, 0 };
	c->iov[2] = (struct iovec){ c->data + third,
				      data_len - third + T_SCSI_SPARE };
	c->cmd.dir = dir;
	c->cmd.iov = c->iov;
	c->cmd.iov_cnt = 3;
	c->cmd.data_len = data_len;
	c->cmd.done = done;
	c->cmd.opaque = c;
	return c;
}

void t_scsi_submit(struct t_scsi_cmd *c)
{
	scsi_submit(t_scsi.disk, &c->cmd);
}

void t_scsi_turn(void)
{
	while (loop_turn(t_scsi.loop, 0))
		;
}

struct t_scsi_cmd *t_scsi_run(const char *cdb, enum scsi_dir dir,
			      uint32_t data_len)
{
	struct t_scsi_cmd *c = t_scsi_make(cdb, dir, data_len);

	t_scsi_submit(c);
	t_scsi_turn();
	T_EQ_U64(c->done_cnt, 1);
	return c;
}

unsigned t_scsi_sense(const struct t_scsi_cmd *c)
{
	T_EQ_U64(c->done_cnt, 1);
	if (c->cmd.status == SCSI_GOOD)
		return 0;
	T_EQ_U64(c->cmd.status, SCSI_CHECK_CONDITION);
	T_EQ_U64(c->cmd.sense[0], 0x70);
	T_EQ_U64(c->cmd.moved_len, 0);
	return (unsigned)c->cmd.sense[2] << 16 |
	       (unsigned)c->cmd.sense[12] << 8 | c->cmd.sense[13];
}

static struct t_scsi_cmd *make_10(uint8_t op, enum scsi_dir dir, uint32_t lba,
				  unsigned cnt)
{
	struct vhdx_geometry g;
	struct t_scsi_cmd *c;

	vhdx_blk_geometry(t_scsi.blk, &g);
	c = t_scsi_make("", dir, cnt * g.sector_len);
	c->cmd.cdb[0] = op;
	put_be32(c->cmd.cdb + 2, lba);
	put_be16(c->cmd.cdb + 7, (uint16_t)cnt);
	return c;
}

unsigned t_scsi_write(uint32_t lba, unsigned cnt, uint8_t fill)
{
	struct t_scsi_cmd *c = make_10(0x2a, SCSI_FROM_GUEST, lba, cnt);

	memset(c->data, fill, c->cmd.data_len);
	t_scsi_submit(c);
	t_scsi_turn();
	return t_scsi_sense(c);
}

unsigned t_scsi_byte_at(uint32_t lba, unsigned cnt)
{
	struct t_scsi_cmd *c = make_10(0x28, SCSI_TO_GUEST, lba, cnt);

	t_scsi_submit(c);
	t_scsi_turn();
	T_EQ_U64(t_scsi_sense(c), 0);
	for (uint32_t i = 1; i < c->cmd.data_len; i++)
		T_EQ_U64(c->data[i], c->data[0]);
	return c->data[0];
}
