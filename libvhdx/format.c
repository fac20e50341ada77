/* SPDX-License-Identifier: MIT */
/*
 * Codecs of the header section: file type identifier, headers, region table.
 * decode accepts exactly what an opener may accept; encode leaves no byte of
 * its output unwritten and its output always decodes.
 *
 * File type identifier, [MS-VHDX] 2.2.1, at 0, 64 KiB reserved
 *	0	8	"vhdxfile"
 *	8	512	Creator, UTF-16, may lack a NUL
 *
 * Header, 2.2.2, at 64 KiB and 128 KiB, 4096 bytes
 *	0	4	"head"
 *	4	4	Checksum: CRC-32C of all 4096 bytes, this field zero
 *	8	8	SequenceNumber
 *	16	16	FileWriteGuid
 *	32	16	DataWriteGuid
 *	48	16	LogGuid
 *	64	2	LogVersion, 0
 *	66	2	Version, 1
 *	68	4	LogLength, MiB multiple
 *	72	8	LogOffset, MiB multiple
 *	80	4016	reserved, ignored
 *
 * Region table, 2.2.3, at 192 KiB and 256 KiB, 64 KiB
 *	0	4	"regi"
 *	4	4	Checksum: CRC-32C of all 65536 bytes, this field zero
 *	8	4	EntryCount, at most 2047
 *	12	4	reserved, ignored
 *	16	32 * n	entries:
 *		0	16	Guid, unique
 *		16	8	FileOffset, MiB multiple, at least 1 MiB
 *		24	4	Length, MiB multiple
 *		28	4	Required, 0 or 1
 */
#include "format.h"

#include <assert.h>

#include "crc32c.h"
#include "le.h"

enum {
	IDENT_CREATOR = 8,

	HEADER_CRC = 4,
	HEADER_SEQ = 8,
	HEADER_FILE_WRITE = 16,
	HEADER_DATA_WRITE = 32,
	HEADER_LOG = 48,
	HEADER_LOG_VERSION = 64,
	HEADER_VERSION = 66,
	HEADER_LOG_LEN = 68,
	HEADER_LOG_OFF = 72,

	REGIONS_CRC = 4,
	REGIONS_CNT = 8,
	REGIONS_ENTRY = 16,
	REGION_ENTRY_LEN = 32,
	REGION_ID = 0,
	REGION_OFF = 16,
	REGION_LEN = 24,
	REGION_REQUIRED = 28,
};

static_assert(REGIONS_ENTRY + REGION_ENTRY_LEN * FMT_REGION_MAX <=
	      FMT_REGION_LEN, "a full region table fits");

const struct guid FMT_REGION_BAT = GUID_INIT(0x2dc27766, 0xf623, 0x4200,
	0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
const struct guid FMT_REGION_META = GUID_INIT(0x8b7ca206, 0x4790, 0x4b9a,
	0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);

/* CRC-32C of len bytes whose 4 bytes at 4 count as zero. */
static uint32_t crc_without_field(const uint8_t *b, size_t len)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, b, 4);

	crc = crc32c(crc, zero, 4);
	return crc32c(crc, b + 8, len - 8);
}

/* ---- file type identifier ---------------------------------------------- */

int ident_decode(const uint8_t b[FMT_HEADER_LEN], struct fmt_ident *out,
		 struct vhdx_err *e)
{
	if (memcmp(b, "vhdxfile", 8) != 0)
		return err_corrupt(e, VHDX_OBJ_IDENT, 0, "2.2.1",
				   "file type identifier: signature is "
				   "0x%016llx, must be \"vhdxfile\"",
				   (unsigned long long)get_be64(b));
	for (size_t i = 0; i < ARRAY_LEN(out->creator); i++)
		out->creator[i] = get_le16(b + IDENT_CREATOR + 2 * i);
	return 0;
}

void ident_encode(const struct fmt_ident *in, uint8_t *b)
{
	memset(b, 0, FMT_IDENT_LEN);
	memcpy(b, "vhdxfile", 8);
	for (size_t i = 0; i < ARRAY_LEN(in->creator); i++)
		put_le16(b + IDENT_CREATOR + 2 * i, in->creator[i]);
}

/* ---- header -------------------------------------------------------------- */

int header_parse(const uint8_t b[FMT_HEADER_LEN], uint64_t off,
		 struct fmt_header *out, struct vhdx_err *e)
{
	uint32_t crc = crc_without_field(b, FMT_HEADER_LEN);

	if (memcmp(b, "head", 4) != 0)
		return err_corrupt(e, VHDX_OBJ_HEADER, off, "2.2.2",
				   "header: signature is 0x%08x, must be "
				   "\"head\"", get_be32(b));
	if (get_le32(b + HEADER_CRC) != crc)
		return err_corrupt(e, VHDX_OBJ_HEADER, off, "2.2.2",
				   "header: checksum is 0x%08x, its bytes give "
				   "0x%08x", get_le32(b + HEADER_CRC), crc);
	out->seq = get_le64(b + HEADER_SEQ);
	memcpy(out->file_write.b, b + HEADER_FILE_WRITE, 16);
	memcpy(out->data_write.b, b + HEADER_DATA_WRITE, 16);
	memcpy(out->log.b, b + HEADER_LOG, 16);
	out->log_version = get_le16(b + HEADER_LOG_VERSION);
	out->version = get_le16(b + HEADER_VERSION);
	out->log_len = get_le32(b + HEADER_LOG_LEN);
	out->log_off = get_le64(b + HEADER_LOG_OFF);
	return 0;
}

static int header_verify_log(const struct fmt_header *h, uint64_t off,
			     struct vhdx_err *e)
{
	uint64_t end;

	if (!is_aligned(h->log_len, MIB))
		return err_corrupt(e, VHDX_OBJ_HEADER, off, "2.2.2",
				   "header: LogLength is %u, must be a "
				   "multiple of 1 MiB", h->log_len);
	if (h->log_len == 0 && !guid_is_zero(&h->log))
		return err_corrupt(e, VHDX_OBJ_HEADER, off, "2.2.2",
				   "header: LogLength is 0 while LogGuid says "
				   "that there is a log");
	if (!is_aligned(h->log_off, MIB) ||
	    (h->log_len && h->log_off < FMT_FIRST_OFF))
		return err_corrupt(e, VHDX_OBJ_HEADER, off, "2.2.2",
				   "header: LogOffset is %llu, must be a "
				   "multiple of 1 MiB and at least 1 MiB",
				   (unsigned long long)h->log_off);
	if (ckd_add(h->log_off, h->log_len, &end) || end > INT64_MAX)
		return err_corrupt(e, VHDX_OBJ_HEADER, off, "2.2.2",
				   "header: the log at %llu ends beyond the "
				   "largest file",
				   (unsigned long long)h->log_off);
	return 0;
}

int header_verify(const struct fmt_header *h, uint64_t off, struct vhdx_err *e)
{
	if (h->version != 1)
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_HEADER, off,
			       "2.2.2", "header: Version is %u, must be 1",
			       h->version);
	if (h->log_version != 0 && !guid_is_zero(&h->log))
		return err_obj(e, VHDX_E_UNSUPPORTED, VHDX_OBJ_HEADER, off,
			       "2.2.2", "header: LogVersion is %u, must be 0 "
			       "while there is a log to replay",
			       h->log_version);
	return header_verify_log(h, off, e);
}

int header_decode(const uint8_t b[FMT_HEADER_LEN], uint64_t off,
		  struct fmt_header *out, struct vhdx_err *e)
{
	int rc = header_parse(b, off, out, e);

	return rc ? rc : header_verify(out, off, e);
}

void header_encode(const struct fmt_header *in, uint8_t b[FMT_HEADER_LEN])
{
	memset(b, 0, FMT_HEADER_LEN);
	memcpy(b, "head", 4);
	put_le64(b + HEADER_SEQ, in->seq);
	memcpy(b + HEADER_FILE_WRITE, in->file_write.b, 16);
	memcpy(b + HEADER_DATA_WRITE, in->data_write.b, 16);
	memcpy(b + HEADER_LOG, in->log.b, 16);
	put_le16(b + HEADER_LOG_VERSION, in->log_version);
	put_le16(b + HEADER_VERSION, in->version);
	put_le32(b + HEADER_LOG_LEN, in->log_len);
	put_le64(b + HEADER_LOG_OFF, in->log_off);
	put_le32(b + HEADER_CRC, crc_without_field(b, FMT_HEADER_LEN));
}

/* ---- region table -------------------------------------------------------- */

static int region_decode(const uint8_t *b, uint64_t off,
			 struct fmt_region *out, struct vhdx_err *e)
{
	uint32_t required = get_le32(b + REGION_REQUIRED);
	uint64_t end;

	memcpy(out->id.b, b + REGION_ID, 16);
	out->off = get_le64(b + REGION_OFF);
	out->len = get_le32(b + REGION_LEN);
	out->required = required == 1;
	if (guid_is_zero(&out->id))
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
				   "region table entry: Guid is zero");
	if (!is_aligned(out->off, MIB) || out->off < FMT_FIRST_OFF)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
				   "region table entry: FileOffset is %llu, "
				   "must be a multiple of 1 MiB and at least "
				   "1 MiB", (unsigned long long)out->off);
	if (!is_aligned(out->len, MIB) || out->len == 0)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
				   "region table entry: Length is %u, must be "
				   "a multiple of 1 MiB and not 0", out->len);
	if (ckd_add(out->off, out->len, &end) || end > INT64_MAX)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
				   "region table entry: the region at %llu "
				   "ends beyond the largest file",
				   (unsigned long long)out->off);
	if (required > 1)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
				   "region table entry: Required is 0x%x, must "
				   "be 0 or 1", required);
	return 0;
}

/* Entry i against all before it. Two thousand entries at most, so the square
 * of that is still milliseconds. */
static int region_verify_unique(const struct fmt_region_table *t, uint32_t i,
				uint64_t off, struct vhdx_err *e)
{
	const struct fmt_region *a = &t->e[i];
	char id[GUID_TEXT_LEN];

	for (uint32_t k = 0; k < i; k++) {
		const struct fmt_region *b = &t->e[k];

		if (guid_eq(&a->id, &b->id)) {
			guid_format(&a->id, id);
			return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
					   "region table: entries %u and %u "
					   "have the same Guid %s", k, i, id);
		}
		if (a->off < b->off + b->len && b->off < a->off + a->len)
			return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.2",
					   "region table: entries %u (%llu+%u) "
					   "and %u (%llu+%u) overlap", k,
					   (unsigned long long)b->off, b->len,
					   i, (unsigned long long)a->off,
					   a->len);
	}
	return 0;
}

int regions_decode(const uint8_t *b, uint64_t off,
		   struct fmt_region_table *out, struct vhdx_err *e)
{
	uint32_t crc = crc_without_field(b, FMT_REGION_LEN);
	int rc = 0;

	if (memcmp(b, "regi", 4) != 0)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.1",
				   "region table: signature is 0x%08x, must be "
				   "\"regi\"", get_be32(b));
	if (get_le32(b + REGIONS_CRC) != crc)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.1",
				   "region table: checksum is 0x%08x, its "
				   "bytes give 0x%08x",
				   get_le32(b + REGIONS_CRC), crc);
	out->cnt = get_le32(b + REGIONS_CNT);
	if (out->cnt > FMT_REGION_MAX)
		return err_corrupt(e, VHDX_OBJ_REGION, off, "2.2.3.1",
				   "region table: EntryCount is %u, must be at "
				   "most %u", out->cnt, FMT_REGION_MAX);
	for (uint32_t i = 0; i < out->cnt && !rc; i++) {
		size_t pos = REGIONS_ENTRY + (size_t)i * REGION_ENTRY_LEN;

		rc = region_decode(b + pos, off + pos, &out->e[i], e);
		if (!rc)
			rc = region_verify_unique(out, i, off + pos, e);
	}
	return rc;
}

bool regions_intact(const uint8_t *b)
{
	return memcmp(b, "regi", 4) == 0 &&
	       get_le32(b + REGIONS_CRC) ==
		       crc_without_field(b, FMT_REGION_LEN);
}

void regions_encode(const struct fmt_region_table *in, uint8_t *b)
{
	memset(b, 0, FMT_REGION_LEN);
	memcpy(b, "regi", 4);
	put_le32(b + REGIONS_CNT, in->cnt);
	for (uint32_t i = 0; i < in->cnt; i++) {
		uint8_t *p = b + REGIONS_ENTRY + (size_t)i * REGION_ENTRY_LEN;

		memcpy(p + REGION_ID, in->e[i].id.b, 16);
		put_le64(p + REGION_OFF, in->e[i].off);
		put_le32(p + REGION_LEN, in->e[i].len);
		put_le32(p + REGION_REQUIRED, in->e[i].required);
	}
	put_le32(b + REGIONS_CRC, crc_without_field(b, FMT_REGION_LEN));
}
