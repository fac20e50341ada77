/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <string.h>

#include "mem.h"
#include "mutation.h"

/* Descriptors that fit behind the header in the first sector: an entry never
 * needs a second descriptor sector. */
#define DESC_MAX ((FMT_LOG_SECTOR - FMT_LOG_HEADER_LEN) / FMT_LOG_DESC_LEN)

int log_init(struct log *lg, const struct fmt_header *hdr, struct vhdx_err *e)
{
	uint32_t sectors = hdr->log_len / FMT_LOG_SECTOR;

	memset(lg, 0, sizeof(*lg));
	if (hdr->log_len < MIB)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_LOG,
			       hdr->log_off, "2.3",
			       "the log is %u bytes long; writing needs at "
			       "least 1 MiB", hdr->log_len);
	lg->off = hdr->log_off;
	lg->len = hdr->log_len;
	lg->seq = 1;
	lg->page_max = (unsigned)u64_min(DESC_MAX, (sectors - 1) / 2 - 1);
	guid_random(&lg->guid);
	lg->buf = mem_alloc((size_t)(1 + lg->page_max) * FMT_LOG_SECTOR);
	if (!lg->buf)
		return err_set(e, VHDX_E_NOMEM, "no memory for a log entry");
	return 0;
}

void log_fini(struct log *lg)
{
	mem_free(lg->buf);
	lg->buf = NULL;
}

static bool all_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, MPAGE_LEN - 1) == 0;
}

/* Splits the entry where the ring ends. */
static void lay_out(struct log *lg)
{
	size_t first = u64_min(lg->entry_len, lg->len - lg->head);

	lg->iov[0] = (struct iovec){ lg->buf, first };
	lg->part_off[0] = lg->off + lg->head;
	lg->iov[1] = (struct iovec){ lg->buf + first, lg->entry_len - first };
	lg->part_off[1] = lg->off;
	lg->part_cnt = first < lg->entry_len ? 2 : 1;
}

static size_t len_max(unsigned page_cnt)
{
	return (size_t)(1 + page_cnt) * FMT_LOG_SECTOR;
}

bool log_may_join(const struct log *lg, unsigned cnt)
{
	return lg->last_len && lg->last_len + len_max(cnt) +
				       len_max(lg->page_max) <= lg->len;
}

/* The entry in buf is the last one from now on. */
static void move_on(struct log *lg, bool join)
{
	ASSERT(lg->live_len + lg->entry_len <= lg->len);
	lg->live_len = lg->entry_len + (join ? lg->last_len : 0);
	lg->last = lg->head;
	lg->last_len = lg->entry_len;
	lg->seq++;
	lg->head = (uint32_t)((lg->head + lg->entry_len) % lg->len);
}

void log_build(struct log *lg, struct mpage *const *pages, unsigned cnt,
	       uint64_t file_len, bool join)
{
	uint8_t *sector = lg->buf + FMT_LOG_SECTOR;
	struct fmt_log_entry h = {
		.tail = join ? lg->last : lg->head,
		.seq = lg->seq,
		.desc_cnt = cnt,
		.log = lg->guid,
		.flushed_len = file_len,
		.last_len = file_len,
	};

	ASSERT(cnt >= 1 && cnt <= lg->page_max);
	memset(lg->buf, 0, FMT_LOG_SECTOR);
	for (unsigned i = 0; i < cnt; i++) {
		struct fmt_log_desc d = {
			.zero = all_zero(pages[i]->data),
			.file_off = pages[i]->off,
			.seq = lg->seq,
		};

		if (d.zero) {
			d.zero_len = MPAGE_LEN;
		} else {
			log_data_encode(pages[i]->data, lg->seq, &d, sector);
			sector += FMT_LOG_SECTOR;
		}
		log_desc_encode(&d, lg->buf + FMT_LOG_HEADER_LEN +
				    i * FMT_LOG_DESC_LEN);
	}
	lg->entry_len = (size_t)(sector - lg->buf);
	h.len = (uint32_t)lg->entry_len;
	log_entry_encode(&h, lg->buf);
	log_entry_seal(lg->buf, lg->entry_len);
	lay_out(lg);
	move_on(lg, join);
}
