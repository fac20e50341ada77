/* SPDX-License-Identifier: MIT */
/*
 * Every on-disk structure of a VHDX file as a host struct, with a pure codec:
 * no I/O, no state. decode is total (any bytes give a struct or an error that
 * names the rule); encode writes every byte of its output. All integers are
 * little-endian. `off` arguments are file offsets in bytes, for messages only.
 *
 * [MS-VHDX] sections are given per structure; the offset tables stand in
 * format.c.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include "guid.h"

#define FMT_IDENT_LEN (64 * KIB)
#define FMT_HEADER_LEN 4096u
#define FMT_HEADER_OFF(slot) (64 * KIB * ((uint64_t)(slot) + 1))
#define FMT_REGION_LEN (64 * KIB)
#define FMT_REGION_OFF(copy) (64 * KIB * ((uint64_t)(copy) + 3))
#define FMT_REGION_MAX 2047u
#define FMT_META_TABLE_LEN (64 * KIB)
#define FMT_META_ENTRY_LEN 32u /* the table's header is as long */
#define FMT_META_USER_MAX 1024u
#define FMT_META_MAX 2047u
#define FMT_META_ITEM_MAX MIB
#define FMT_FIRST_OFF MIB /* below it: identifier, headers, region tables */
#define FMT_LOG_SECTOR 4096u
#define FMT_SIZE_MAX (64 * TIB)
#define FMT_BLOCK_MIN MIB
#define FMT_BLOCK_MAX (256 * MIB)

/* 2.2.1 File type identifier */
struct fmt_ident {
	uint16_t creator[256]; /* UTF-16, host order, not always terminated */
};

int ident_decode(const uint8_t b[FMT_HEADER_LEN], struct fmt_ident *out,
		 struct vhdx_err *e) must_check;
void ident_encode(const struct fmt_ident *in, uint8_t *b /* FMT_IDENT_LEN */);

/* 2.2.2 Header */
struct fmt_header {
	uint64_t seq;
	struct guid file_write;
	struct guid data_write;
	struct guid log;
	uint16_t log_version;
	uint16_t version;
	uint32_t log_len;
	uint64_t log_off;
};

/* Signature and checksum: the copy is VALID in the sense of 2.2.2, and takes
 * part in choosing the current one, whatever its fields say. */
int header_parse(const uint8_t b[FMT_HEADER_LEN], uint64_t off,
		 struct fmt_header *out, struct vhdx_err *e) must_check;
/* Version (UNSUPPORTED), log bounds (2.2.2); log_version only when the log
 * GUID is not zero. A current header that fails must not be replaced by an
 * older copy. */
int header_verify(const struct fmt_header *h, uint64_t off,
		  struct vhdx_err *e) must_check;
/* header_parse and header_verify. */
int header_decode(const uint8_t b[FMT_HEADER_LEN], uint64_t off,
		  struct fmt_header *out, struct vhdx_err *e) must_check;
void header_encode(const struct fmt_header *in, uint8_t b[FMT_HEADER_LEN]);

/* 2.2.3 Region table */
struct fmt_region {
	struct guid id;
	uint64_t off;
	uint32_t len;
	bool required;
};

struct fmt_region_table {
	uint32_t cnt;
	struct fmt_region e[FMT_REGION_MAX];
};

extern const struct guid FMT_REGION_BAT;
extern const struct guid FMT_REGION_META;

/* Signature, checksum, count, and per entry: alignment, length, flags, unique
 * id, no overlap with the header area or another region. */
int regions_decode(const uint8_t *b /* FMT_REGION_LEN */, uint64_t off,
		   struct fmt_region_table *out, struct vhdx_err *e) must_check;
/* Signature and checksum are right, whatever the entries say. */
bool regions_intact(const uint8_t *b /* FMT_REGION_LEN */);
void regions_encode(const struct fmt_region_table *in,
		    uint8_t *b /* FMT_REGION_LEN */);

/* 2.6 Metadata table */
struct fmt_meta_entry {
	struct guid id;
	uint32_t off; /* relative to the metadata region */
	uint32_t len;
	bool user;
	bool vdisk;
	bool required;
};

struct fmt_meta_table {
	uint32_t cnt;
	struct fmt_meta_entry e[FMT_META_MAX];
};

extern const struct guid FMT_META_FILE_PARAMS;
extern const struct guid FMT_META_DISK_SIZE;
extern const struct guid FMT_META_DISK_ID;
extern const struct guid FMT_META_LSS;
extern const struct guid FMT_META_PSS;
extern const struct guid FMT_META_LOCATOR;
/* Not in MS-VHDX: */
extern const struct guid FMT_META_INCOMPLETE; /* creation never finished */
extern const struct guid FMT_META_CHS;	      /* BIOS geometry */
extern const struct guid FMT_META_PMEM;	      /* NVDIMM label area */

/* Signature, count, and per entry: bounds within region_len, flags, unique
 * (id, user), no overlap, at most 1024 user entries. */
int meta_table_decode(const uint8_t *b /* FMT_META_TABLE_LEN */, uint64_t off,
		      uint32_t region_len, struct fmt_meta_table *out,
		      struct vhdx_err *e) must_check;
/* Its parts, for who wants to know all that is wrong: header (signature, count,
 * reserved bytes), one entry (bounds, flags). */
int meta_header_decode(const uint8_t b[FMT_META_ENTRY_LEN], uint64_t off,
		       uint32_t *cnt, struct vhdx_err *e) must_check;
int meta_entry_decode(const uint8_t b[FMT_META_ENTRY_LEN], uint64_t off,
		      uint32_t region_len, struct fmt_meta_entry *out,
		      struct vhdx_err *e) must_check;
void meta_table_encode(const struct fmt_meta_table *in,
		       uint8_t *b /* FMT_META_TABLE_LEN */);

/* The entry of an item; NULL: it has none. */
const struct fmt_meta_entry *meta_item_find(const struct fmt_meta_table *t,
					    const struct guid *id, bool user);

/* 2.3.1 Log entry */
struct fmt_log_entry {
	uint32_t len; /* bytes */
	uint32_t tail; /* offset in the log, bytes */
	uint64_t seq;
	uint32_t desc_cnt;
	struct guid log;
	uint64_t flushed_len; /* FlushedFileOffset */
	uint64_t last_len; /* LastFileOffset */
};

struct fmt_log_desc {
	bool zero;
	uint64_t file_off;
	uint64_t zero_len; /* zero only */
	uint8_t leading[8]; /* data only */
	uint8_t trailing[4]; /* data only */
	uint64_t seq;
};

#define FMT_LOG_HEADER_LEN 64u
#define FMT_LOG_DESC_LEN 32u
#define FMT_LOG_DESC_MAX 4194304u

/* Sectors that the header and n descriptors take: at least 1. */
static inline uint32_t log_desc_sectors(uint32_t n)
{
	return (uint32_t)div_up(FMT_LOG_HEADER_LEN +
				(uint64_t)n * FMT_LOG_DESC_LEN, FMT_LOG_SECTOR);
}

/* Header fields only (signature, lengths, alignments, seq > 0, descriptors fit
 * in len), not the checksum: b holds just the header. log_len bounds len and
 * tail. */
int log_entry_decode(const uint8_t b[FMT_LOG_HEADER_LEN], uint64_t off,
		     uint32_t log_len, struct fmt_log_entry *out,
		     struct vhdx_err *e) must_check;
/* Writes 64 bytes with a zero checksum field. */
void log_entry_encode(const struct fmt_log_entry *in,
		      uint8_t b[FMT_LOG_HEADER_LEN]);
/* Over the whole entry as it lies in memory; ignores the checksum field. */
uint32_t log_entry_crc(const uint8_t *entry, size_t len);
void log_entry_seal(uint8_t *entry, size_t len); /* stores the checksum */
uint32_t log_entry_stored_crc(const uint8_t *entry);

/* Signature, sequence == seq, alignment, no overflow. */
int log_desc_decode(const uint8_t b[FMT_LOG_DESC_LEN], uint64_t off,
		    uint64_t seq, struct fmt_log_desc *out,
		    struct vhdx_err *e) must_check;
void log_desc_encode(const struct fmt_log_desc *in,
		     uint8_t b[FMT_LOG_DESC_LEN]);

/* A data sector carries bytes 8..4091 of a page; the rest is in the
 * descriptor. verify and decode check signature and both halves of seq. */
int log_data_verify(const uint8_t sector[FMT_LOG_SECTOR], uint64_t off,
		    uint64_t seq, struct vhdx_err *e) must_check;
int log_data_decode(const uint8_t sector[FMT_LOG_SECTOR], uint64_t off,
		    const struct fmt_log_desc *d, uint8_t page[4096],
		    struct vhdx_err *e) must_check;
void log_data_encode(const uint8_t page[4096], uint64_t seq,
		     struct fmt_log_desc *d, uint8_t sector[FMT_LOG_SECTOR]);

/* 2.5.1 BAT entries */
enum bat_state {
	BAT_NOT_PRESENT = 0,
	BAT_UNDEFINED = 1,
	BAT_ZERO = 2,
	BAT_UNMAPPED = 3,
	BAT_FULLY_PRESENT = 6,
	BAT_PARTIALLY_PRESENT = 7,
};
#define BAT_SB_NOT_PRESENT 0u
#define BAT_SB_PRESENT 6u

static inline unsigned bat_entry_state(uint64_t entry)
{
	return (unsigned)(entry & 7);
}

static inline uint64_t bat_entry_off(uint64_t entry)
{
	return entry & ~(MIB - 1);
}

static inline uint64_t bat_entry_reserved(uint64_t entry)
{
	return entry & (MIB - 1) & ~UINT64_C(7);
}

static inline uint64_t bat_entry_make(unsigned state, uint64_t file_off)
{
	return file_off | state;
}

/* 2.5 Geometry of the BAT, derived once from the metadata. */
struct bat_geom {
	uint64_t block_cnt;   /* N: payload blocks */
	uint64_t chunk_ratio; /* R: payload blocks per bitmap block; 2^n */
	uint64_t entry_cnt;   /* entries a file of this type needs */
};

void bat_geom_init(struct bat_geom *g, uint64_t size_len, uint32_t block_len,
		   uint32_t sector_len, bool has_parent);

static inline uint64_t bat_payload_index(const struct bat_geom *g, uint64_t blk)
{
	return blk + (blk >> __builtin_ctzll(g->chunk_ratio));
}

static inline uint64_t bat_bitmap_index(const struct bat_geom *g,
					uint64_t chunk)
{
	return chunk * (g->chunk_ratio + 1) + g->chunk_ratio;
}

#endif
