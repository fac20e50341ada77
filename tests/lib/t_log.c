/* SPDX-License-Identifier: MIT */
#include "t_log.h"

#include <string.h>

#include "t.h"

void t_log_init(struct t_log *lg, struct file *f, uint64_t log_off,
		uint32_t log_len)
{
	*lg = (struct t_log){ .f = f, .seq = 1, .last_len = MIB };
	lg->hdr.version = 1;
	lg->hdr.log_off = log_off;
	lg->hdr.log_len = log_len;
	t_fill(lg->hdr.log.b, 16, 99);
}

/* Sectors of `buf`, wrapped at the end of the ring. */
static void put_ring(const struct t_log *lg, uint32_t pos, const uint8_t *buf,
		     uint64_t len)
{
	uint64_t first = u64_min(len, lg->hdr.log_len - pos);

	T_OK(file_write(lg->f, lg->hdr.log_off + pos, buf, (size_t)first,
			&t_err));
	if (first < len)
		T_OK(file_write(lg->f, lg->hdr.log_off, buf + first,
				(size_t)(len - first), &t_err));
}

static uint8_t *build(const struct t_log *lg, const struct t_change *c,
		      uint32_t cnt, uint32_t *len)
{
	uint32_t sectors = log_desc_sectors(cnt), data = sectors;
	struct fmt_log_entry n = { .tail = lg->tail, .seq = lg->seq,
		.desc_cnt = cnt, .log = lg->hdr.log,
		.flushed_len = lg->flushed_len, .last_len = lg->last_len };
	uint8_t page[4096], *b;

	for (uint32_t i = 0; i < cnt; i++)
		sectors += c[i].zero_len == 0;
	n.len = *len = sectors * 4096;
	b = calloc(sectors, 4096);
	log_entry_encode(&n, b);
	for (uint32_t i = 0; i < cnt; i++) {
		struct fmt_log_desc d = { .zero = c[i].zero_len != 0,
			.file_off = c[i].off, .zero_len = c[i].zero_len,
			.seq = lg->seq };

		if (!d.zero) {
			t_fill(page, sizeof(page), c[i].fill);
			log_data_encode(page, lg->seq, &d,
					b + (size_t)data++ * 4096);
		}
		log_desc_encode(&d, b + 64 + (size_t)i * 32);
	}
	log_entry_seal(b, n.len);
	return b;
}

uint32_t t_log_entry(struct t_log *lg, const struct t_change *c, uint32_t cnt)
{
	uint32_t pos = lg->pos, len;
	uint8_t *b = build(lg, c, cnt, &len);

	put_ring(lg, pos, b, len);
	free(b);
	lg->seq++;
	lg->pos = (uint32_t)(((uint64_t)pos + len) % lg->hdr.log_len);
	return pos;
}

uint32_t t_log_alone(struct t_log *lg, uint32_t pos, uint64_t seq,
		     const struct t_change *c, uint32_t cnt)
{
	lg->pos = lg->tail = pos;
	lg->seq = seq;
	return t_log_entry(lg, c, cnt);
}
