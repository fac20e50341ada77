/* SPDX-License-Identifier: MIT */
/*
 * Codecs of the log: entry header, descriptors, data sectors. Each record
 * carries a signature and the entry's sequence number, which is never zero, so
 * that neither zeros nor leftovers of another entry decode.
 *
 * Entry header, [MS-VHDX] 2.3.1.1, first 64 bytes of an entry
 *	0	4	"loge"
 *	4	4	Checksum: CRC-32C of the whole entry, this field zero
 *	8	4	EntryLength, 4 KiB multiple
 *	12	4	Tail, offset in the log, 4 KiB multiple
 *	16	8	SequenceNumber, > 0
 *	24	4	DescriptorCount, may be 0
 *	28	4	reserved, 0
 *	32	16	LogGuid
 *	48	8	FlushedFileOffset
 *	56	8	LastFileOffset
 * Descriptors of 32 bytes follow: 126 in the first sector, then 128 in each.
 * One data sector per data descriptor follows them, in their order.
 *
 * Zero descriptor, 2.3.1.2
 *	0	4	"zero"
 *	4	4	reserved, 0
 *	8	8	ZeroLength, 4 KiB multiple
 *	16	8	FileOffset, 4 KiB multiple
 *	24	8	SequenceNumber
 *
 * Data descriptor, 2.3.1.3
 *	0	4	"desc"
 *	4	4	TrailingBytes: the page's bytes 4092..4095
 *	8	8	LeadingBytes: the page's bytes 0..7
 *	16	8	FileOffset, 4 KiB multiple
 *	24	8	SequenceNumber
 *
 * Data sector, 2.3.1.4
 *	0	4	"data"
 *	4	4	SequenceHigh
 *	8	4084	the page's bytes 8..4091
 *	4092	4	SequenceLow
 */
#include "format.h"

#include <assert.h>

#include "crc32c.h"
#include "le.h"

enum {
	ENTRY_CRC = 4,
	ENTRY_LEN = 8,
	ENTRY_TAIL = 12,
	ENTRY_SEQ = 16,
	ENTRY_DESC_CNT = 24,
	ENTRY_RESERVED = 28,
	ENTRY_LOG = 32,
	ENTRY_FLUSHED = 48,
	ENTRY_LAST = 56,

	DESC_RESERVED = 4,
	DESC_TRAILING = 4,
	DESC_LEADING = 8,
	DESC_ZERO_LEN = 8,
	DESC_FILE_OFF = 16,
	DESC_SEQ = 24,

	DATA_SEQ_HIGH = 4,
	DATA_BYTES = 8,
	DATA_BYTES_LEN = 4084,
	DATA_SEQ_LOW = 4092,
};

static_assert(DATA_BYTES + DATA_BYTES_LEN == DATA_SEQ_LOW, "data sector");

/* ---- entry --------------------------------------------------------------- */

static int entry_verify_lens(const struct fmt_log_entry *n, uint64_t off,
			     uint32_t log_len, struct vhdx_err *e)
{
	if (n->len == 0 || !is_aligned(n->len, FMT_LOG_SECTOR) ||
	    n->len > log_len)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.1",
				   "log entry: EntryLength is %u, must be a "
				   "multiple of 4096 up to the log's %u",
				   n->len, log_len);
	if (!is_aligned(n->tail, FMT_LOG_SECTOR) || n->tail >= log_len)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.1",
				   "log entry: Tail is %u, must be a multiple "
				   "of 4096 below the log's %u", n->tail,
				   log_len);
	if (log_desc_sectors(n->desc_cnt) > n->len / FMT_LOG_SECTOR)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.1",
				   "log entry: %u descriptors do not fit in "
				   "EntryLength %u", n->desc_cnt, n->len);
	return 0;
}

/* FlushedFileOffset and LastFileOffset are to be multiples of 1 MiB, but
 * qemu stores the file's size as it is, and Disk2VHD makes files of odd sizes:
 * to reject such an entry would be to lose what it holds. */
int log_entry_decode(const uint8_t b[FMT_LOG_HEADER_LEN], uint64_t off,
		     uint32_t log_len, struct fmt_log_entry *out,
		     struct vhdx_err *e)
{
	if (memcmp(b, "loge", 4) != 0)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.1",
				   "log entry: signature is 0x%08x, must be "
				   "\"loge\"", get_be32(b));
	out->len = get_le32(b + ENTRY_LEN);
	out->tail = get_le32(b + ENTRY_TAIL);
	out->seq = get_le64(b + ENTRY_SEQ);
	out->desc_cnt = get_le32(b + ENTRY_DESC_CNT);
	memcpy(out->log.b, b + ENTRY_LOG, 16);
	out->flushed_len = get_le64(b + ENTRY_FLUSHED);
	out->last_len = get_le64(b + ENTRY_LAST);
	if (out->seq == 0)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.1",
				   "log entry: SequenceNumber is 0, must be "
				   "larger");
	if (get_le32(b + ENTRY_RESERVED) != 0)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.1",
				   "log entry: Reserved is 0x%x, must be 0",
				   get_le32(b + ENTRY_RESERVED));
	return entry_verify_lens(out, off, log_len, e);
}

void log_entry_encode(const struct fmt_log_entry *in,
		      uint8_t b[FMT_LOG_HEADER_LEN])
{
	memset(b, 0, FMT_LOG_HEADER_LEN);
	memcpy(b, "loge", 4);
	put_le32(b + ENTRY_LEN, in->len);
	put_le32(b + ENTRY_TAIL, in->tail);
	put_le64(b + ENTRY_SEQ, in->seq);
	put_le32(b + ENTRY_DESC_CNT, in->desc_cnt);
	memcpy(b + ENTRY_LOG, in->log.b, 16);
	put_le64(b + ENTRY_FLUSHED, in->flushed_len);
	put_le64(b + ENTRY_LAST, in->last_len);
}

uint32_t log_entry_crc(const uint8_t *entry, size_t len)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, entry, ENTRY_CRC);

	crc = crc32c(crc, zero, sizeof(zero));
	return crc32c(crc, entry + ENTRY_LEN, len - ENTRY_LEN);
}

void log_entry_seal(uint8_t *entry, size_t len)
{
	put_le32(entry + ENTRY_CRC, log_entry_crc(entry, len));
}

uint32_t log_entry_stored_crc(const uint8_t *entry)
{
	return get_le32(entry + ENTRY_CRC);
}

/* ---- descriptors --------------------------------------------------------- */

int log_desc_decode(const uint8_t b[FMT_LOG_DESC_LEN], uint64_t off,
		    uint64_t seq, struct fmt_log_desc *out,
		    struct vhdx_err *e)
{
	uint64_t end;

	*out = (struct fmt_log_desc){
		.zero = memcmp(b, "zero", 4) == 0,
		.file_off = get_le64(b + DESC_FILE_OFF),
		.seq = get_le64(b + DESC_SEQ),
	};
	if (!out->zero && memcmp(b, "desc", 4) != 0)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1",
				   "log descriptor: signature is 0x%08x, must "
				   "be \"desc\" or \"zero\"", get_be32(b));
	if (out->seq != seq)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1",
				   "log descriptor: SequenceNumber is %llu, "
				   "must be its entry's %llu",
				   (unsigned long long)out->seq,
				   (unsigned long long)seq);
	if (out->zero) {
		out->zero_len = get_le64(b + DESC_ZERO_LEN);
		if (get_le32(b + DESC_RESERVED) != 0)
			return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.2",
					   "zero descriptor: Reserved is 0x%x, "
					   "must be 0",
					   get_le32(b + DESC_RESERVED));
	} else {
		memcpy(out->leading, b + DESC_LEADING, 8);
		memcpy(out->trailing, b + DESC_TRAILING, 4);
	}
	if (!is_aligned(out->file_off | out->zero_len, FMT_LOG_SECTOR))
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1",
				   "log descriptor: target %llu+%llu, must be "
				   "multiples of 4096",
				   (unsigned long long)out->file_off,
				   (unsigned long long)out->zero_len);
	if (ckd_add(out->file_off,
		    out->zero ? out->zero_len : FMT_LOG_SECTOR, &end) ||
	    end > INT64_MAX)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1",
				   "log descriptor: target %llu+%llu ends "
				   "beyond the largest file",
				   (unsigned long long)out->file_off,
				   (unsigned long long)out->zero_len);
	return 0;
}

void log_desc_encode(const struct fmt_log_desc *in, uint8_t b[FMT_LOG_DESC_LEN])
{
	memset(b, 0, FMT_LOG_DESC_LEN);
	if (in->zero) {
		memcpy(b, "zero", 4);
		put_le64(b + DESC_ZERO_LEN, in->zero_len);
	} else {
		memcpy(b, "desc", 4);
		memcpy(b + DESC_TRAILING, in->trailing, 4);
		memcpy(b + DESC_LEADING, in->leading, 8);
	}
	put_le64(b + DESC_FILE_OFF, in->file_off);
	put_le64(b + DESC_SEQ, in->seq);
}

/* ---- data sectors -------------------------------------------------------- */

int log_data_verify(const uint8_t sector[FMT_LOG_SECTOR], uint64_t off,
		    uint64_t seq, struct vhdx_err *e)
{
	uint64_t found;

	if (memcmp(sector, "data", 4) != 0)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.4",
				   "log data sector: signature is 0x%08x, must "
				   "be \"data\"", get_be32(sector));
	found = (uint64_t)get_le32(sector + DATA_SEQ_HIGH) << 32 |
		get_le32(sector + DATA_SEQ_LOW);
	if (found != seq)
		return err_corrupt(e, VHDX_OBJ_LOG, off, "2.3.1.4",
				   "log data sector: sequence number is %llu, "
				   "must be its entry's %llu",
				   (unsigned long long)found,
				   (unsigned long long)seq);
	return 0;
}

int log_data_decode(const uint8_t sector[FMT_LOG_SECTOR], uint64_t off,
		    const struct fmt_log_desc *d, uint8_t page[4096],
		    struct vhdx_err *e)
{
	int rc = log_data_verify(sector, off, d->seq, e);

	if (rc)
		return rc;
	memcpy(page, d->leading, 8);
	memcpy(page + DATA_BYTES, sector + DATA_BYTES, DATA_BYTES_LEN);
	memcpy(page + DATA_SEQ_LOW, d->trailing, 4);
	return 0;
}

void log_data_encode(const uint8_t page[4096], uint64_t seq,
		     struct fmt_log_desc *d, uint8_t sector[FMT_LOG_SECTOR])
{
	memcpy(d->leading, page, 8);
	memcpy(d->trailing, page + DATA_SEQ_LOW, 4);
	memcpy(sector, "data", 4);
	put_le32(sector + DATA_SEQ_HIGH, (uint32_t)(seq >> 32));
	memcpy(sector + DATA_BYTES, page + DATA_BYTES, DATA_BYTES_LEN);
	put_le32(sector + DATA_SEQ_LOW, (uint32_t)seq);
}
