/* SPDX-License-Identifier: MIT */
/*
 * Every decoder of format.h: any bytes give a struct or an error, and what was
 * accepted survives encode and decode. The first byte chooses the structure
 * (and, in its top bit, whether signature and checksum are mended first), the
 * rest is its content, padded with zeros. Each structure gets a buffer of
 * exactly its length, so that a sanitizer sees the first byte too many.
 */
#include "fuzz.h"

#include <string.h>

#include "crc32c.h"
#include "format.h"
#include "le.h"
#include "utf16.h"

#define LOG_ENTRY_MAX (64 * KIB)

static uint8_t out[64 * KIB];
static struct vhdx_err err;

static void mend(uint8_t *b, const char *sig, size_t len)
{
	memcpy(b, sig, 4);
	put_le32(b + 4, 0);
	put_le32(b + 4, crc32c(0, b, len));
}

static void one_ident(uint8_t *b, bool fix)
{
	struct fmt_ident id;

	if (fix)
		memcpy(b, "vhdxfile", 8);
	if (ident_decode(b, &id, &err))
		return;
	ident_encode(&id, out);
	ASSERT(memcmp(b, out, 8 + 512) == 0);
}

static void one_header(uint8_t *b, bool fix)
{
	struct fmt_header h, again;

	if (fix)
		mend(b, "head", FMT_HEADER_LEN);
	if (header_decode(b, FMT_HEADER_OFF(0), &h, &err))
		return;
	header_encode(&h, out);
	ASSERT(header_decode(out, 0, &again, &err) == 0);
	ASSERT(h.seq == again.seq && guid_eq(&h.log, &again.log) &&
	       h.log_off == again.log_off && h.log_len == again.log_len);
}

static void one_regions(uint8_t *b, bool fix)
{
	static struct fmt_region_table t, again;

	if (fix)
		mend(b, "regi", FMT_REGION_LEN);
	if (regions_decode(b, FMT_REGION_OFF(0), &t, &err))
		return;
	regions_encode(&t, out);
	ASSERT(regions_decode(out, 0, &again, &err) == 0);
	ASSERT(t.cnt == again.cnt);
	for (uint32_t i = 0; i < t.cnt; i++)
		ASSERT(t.e[i].off == again.e[i].off &&
		       t.e[i].len == again.e[i].len);
}

static void one_meta(uint8_t *b, bool fix)
{
	static struct fmt_meta_table t, again;

	if (fix)
		memcpy(b, "metadata", 8);
	if (meta_table_decode(b, 2 * MIB, (uint32_t)MIB, &t, &err))
		return;
	meta_table_encode(&t, out);
	ASSERT(meta_table_decode(out, 2 * MIB, (uint32_t)MIB, &again,
				 &err) == 0);
	ASSERT(t.cnt == again.cnt);
}

/* Descriptors where the header says, one data sector at the end. */
static void one_log(uint8_t *b, bool fix)
{
	struct fmt_log_entry en;
	struct fmt_log_desc d;
	uint8_t page[4096];
	uint64_t fit = (LOG_ENTRY_MAX - FMT_LOG_SECTOR - FMT_LOG_HEADER_LEN) /
		       FMT_LOG_DESC_LEN;

	if (fix)
		memcpy(b, "loge", 4);
	if (log_entry_decode(b, MIB, (uint32_t)MIB, &en, &err))
		return;
	log_entry_encode(&en, out);
	(void)log_entry_crc(b, (size_t)u64_min(en.len, LOG_ENTRY_MAX));
	for (uint64_t i = 0; i < u64_min(en.desc_cnt, fit); i++) {
		const uint8_t *p = b + FMT_LOG_HEADER_LEN +
				   i * FMT_LOG_DESC_LEN;

		if (log_desc_decode(p, MIB, en.seq, &d, &err))
			return;
		log_desc_encode(&d, out);
		ASSERT(memcmp(p, out, 4) == 0);
		if (!d.zero && log_data_decode(b + LOG_ENTRY_MAX -
					       FMT_LOG_SECTOR, 0, &d, page,
					       &err))
			return;
	}
}

static void one_utf16(uint8_t *b, bool fix)
{
	char text[UTF16_UTF8_MAX(64)];
	uint8_t back[2 * 64];
	size_t len = utf16le_to_utf8(b, 64, text, fix ? 16 : sizeof(text));

	ASSERT(len < sizeof(text));
	if (!fix)
		ASSERT(utf16le_from_utf8(text, len, back, 64) <= 64);
}

static const struct {
	void (*fn)(uint8_t *b, bool fix);
	size_t len;
} kinds[] = {
	{ one_ident, FMT_HEADER_LEN },
	{ one_header, FMT_HEADER_LEN },
	{ one_regions, FMT_REGION_LEN },
	{ one_meta, FMT_META_TABLE_LEN },
	{ one_log, LOG_ENTRY_MAX },
	{ one_utf16, 2 * 64 },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned kind = len ? (data[0] & 0x7f) % ARRAY_LEN(kinds) : 0;
	uint8_t *b = calloc(1, kinds[kind].len);

	ASSERT(b);
	if (len > 1)
		memcpy(b, data + 1, u64_min(len - 1, kinds[kind].len));
	if (len)
		kinds[kind].fn(b, data[0] & 0x80);
	free(b);
	return 0;
}
