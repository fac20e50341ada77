/* SPDX-License-Identifier: MIT */
#include "damage.h"

#include <stdlib.h>
#include <string.h>

#include "damage_cmd.h"
#include "header.h"
#include "image.h"
#include "layout.h"
#include "le.h"

/* ---- places and numbers -------------------------------------------------- */

static const struct {
	const char *name;
	const struct guid *id;
} items[DAMAGE_ITEMS] = {
	{ "params", &FMT_META_FILE_PARAMS }, { "size", &FMT_META_DISK_SIZE },
	{ "id", &FMT_META_DISK_ID },	     { "lss", &FMT_META_LSS },
	{ "pss", &FMT_META_PSS },
};

int damage_begin(struct damage *d, struct file *f, struct vhdx_err *e)
{
	struct header_pair p;
	struct layout l = { 0 };
	int rc;

	*d = (struct damage){ .file = f };
	if (f->size == 0)
		return 0;
	rc = damage_begin_vhd(d, e);
	if (rc || d->vhd)
		return rc;
	rc = header_load(f, &p, e);
	if (!rc)
		rc = layout_load(f, &p.cur, &l, e);
	if (rc)
		return rc;
	d->log_off = p.cur.log_off;
	d->log_len = p.cur.log_len;
	d->meta_off = l.meta_off;
	d->bat_off = l.bat_off;
	d->block_len = l.block_len;
	d->geom = l.geom;
	for (uint32_t i = 0; i < l.meta->cnt; i++)
		for (int k = 0; k < DAMAGE_ITEMS; k++)
			if (guid_eq(&l.meta->e[i].id, items[k].id)) {
				d->item_off[k] = l.meta_off + l.meta->e[i].off;
				d->entry_off[k] = l.meta_off + 32 * (i + 1);
			}
	for (uint32_t i = 0; i < l.regions->cnt; i++)
		d->region_off[guid_eq(&l.regions->e[i].id,
				      &FMT_REGION_META)] =
			FMT_REGION_OFF(0) + 16 + 32 * i;
	layout_free(&l);
	return 0;
}

static bool place(const struct damage *d, const char *name, uint64_t *out)
{
	const struct {
		const char *name;
		uint64_t off;
	} fixed[] = {
		{ "ident", 0 },
		{ "header1", FMT_HEADER_OFF(0) },
		{ "header2", FMT_HEADER_OFF(1) },
		{ "region1", FMT_REGION_OFF(0) },
		{ "region2", FMT_REGION_OFF(1) },
		{ "region1.bat", d->region_off[0] },
		{ "region1.meta", d->region_off[1] },
		{ "region2.bat", d->region_off[0] + FMT_REGION_LEN },
		{ "region2.meta", d->region_off[1] + FMT_REGION_LEN },
		{ "log", d->log_off },
		{ "meta", d->meta_off },
		{ "bat", d->bat_off },
		{ "end", d->file->size },
		{ "copy", 0 },
		{ "dyn", 512 },
		{ "footer", d->footer_off },
		{ "vbat", d->vbat_off },
		{ "max", UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (strcmp(fixed[i].name, name) == 0) {
			*out = fixed[i].off;
			return true;
		}
	for (int i = 0; i < DAMAGE_ITEMS; i++) {
		bool entry = strncmp(name, "entry.", 6) == 0;

		if (strcmp(items[i].name, name + (entry ? 6 : 0)) == 0) {
			*out = entry ? d->entry_off[i] : d->item_off[i];
			return true;
		}
	}
	return false;
}

static bool number(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	char *end;
	const char *u;

	*out = strtoull(text, &end, 0);
	if (end == text)
		return false;
	u = *end ? strchr(units, *end) : NULL;
	if (u) {
		*out <<= 10 * (u - units + 1);
		end++;
	}
	return *end == '\0';
}

bool damage_number(const struct damage *d, const char *text, uint64_t *out)
{
	char buf[128], *save, *tok;
	uint64_t part;

	*out = 0;
	if (strlen(text) >= sizeof(buf))
		return false;
	strcpy(buf, text);
	for (tok = strtok_r(buf, "+", &save); tok;
	     tok = strtok_r(NULL, "+", &save)) {
		if (!number(tok, &part) && !place(d, tok, &part))
			return false;
		*out += part;
	}
	return true;
}

bool damage_option(const struct damage *d, const struct damage_args *a,
		   const char *key, uint64_t *out)
{
	size_t n = strlen(key);

	for (int i = 1; i < a->cnt; i++)
		if (strncmp(a->v[i], key, n) == 0 && a->v[i][n] == '=')
			return damage_number(d, a->v[i] + n + 1, out);
	return false;
}

/* ---- commands ------------------------------------------------------------ */

static bool has_arg(const struct damage_args *a, const char *text)
{
	for (int i = 1; i < a->cnt; i++)
		if (strcmp(a->v[i], text) == 0)
			return true;
	return false;
}

static int cmd_create(struct damage *d, const struct damage_args *a,
		      struct vhdx_err *e)
{
	bool vhd = has_arg(a, "format=vhd");
	struct vhdx_create_opts o = {
		.format = vhd ? VHDX_FORMAT_VHD : VHDX_FORMAT_VHDX,
		.type = VHDX_TYPE_DYNAMIC,
		.type_given = true,
	};
	uint64_t size = 64 * MIB, block = MIB, sector = 512;
	uint64_t physical = vhd ? 512 : 4096;
	int rc;

	damage_option(d, a, "size", &size);
	damage_option(d, a, "block", &block);
	damage_option(d, a, "sector", &sector);
	damage_option(d, a, "physical", &physical);
	if (has_arg(a, "type=fixed"))
		o.type = VHDX_TYPE_FIXED;
	o.size_len = size;
	o.block_len = (uint32_t)block;
	o.sector_len = (uint32_t)sector;
	o.physical_sector_len = (uint32_t)physical;
	if (vhd && o.type == VHDX_TYPE_FIXED)
		o.block_len = 0;
	rc = vhd ? vhd1_image_create(d->file, &o, e)
		 : vhdx_image_create(d->file, &o, e);
	if (!rc)
		rc = damage_begin(d, d->file, e);
	if (!rc && vhd) /* the time is part of the checksums */
		rc = damage_run(d, "be32 footer+24 0\nsum footer", e);
	if (!rc && d->vbat_off)
		rc = damage_run(d, "be32 copy+24 0\nsum copy", e);
	return rc;
}

static int put(struct damage *d, uint64_t off, uint64_t val, size_t len,
	       struct vhdx_err *e)
{
	uint8_t b[8];

	put_le64(b, val);
	return file_write(d->file, off, b, len, e);
}

static int cmd_put(struct damage *d, const struct damage_args *a,
		   struct vhdx_err *e)
{
	return put(d, a->n[1], a->n[2], (size_t)atoi(a->v[0] + 3) / 8, e);
}

static int cmd_bat(struct damage *d, const struct damage_args *a,
		   struct vhdx_err *e)
{
	return put(d, d->bat_off + 8 * a->n[1], a->n[2], 8, e);
}

static int cmd_block(struct damage *d, const struct damage_args *a,
		     struct vhdx_err *e)
{
	uint64_t state = BAT_FULLY_PRESENT;
	uint64_t off = align_up(d->file->size, MIB);
	int rc = file_truncate(d->file, off + d->block_len, e);

	damage_option(d, a, "state", &state);
	if (rc)
		return rc;
	return put(d, d->bat_off + 8 * bat_payload_index(&d->geom, a->n[1]),
		   off | state, 8, e);
}

static int cmd_puts(struct damage *d, const struct damage_args *a,
		    struct vhdx_err *e)
{
	return file_write(d->file, a->n[1], a->v[2], strlen(a->v[2]), e);
}

static int cmd_guid(struct damage *d, const struct damage_args *a,
		    struct vhdx_err *e)
{
	struct guid g;

	if (!guid_parse(a->v[2], &g))
		return err_set(e, VHDX_E_INVAL, "not a GUID: %s", a->v[2]);
	return file_write(d->file, a->n[1], g.b, sizeof(g.b), e);
}

static int cmd_fill(struct damage *d, const struct damage_args *a,
		    struct vhdx_err *e)
{
	uint8_t *b = malloc(a->n[2]);
	int rc;

	memset(b, (int)a->n[3], a->n[2]);
	rc = file_write(d->file, a->n[1], b, a->n[2], e);
	free(b);
	return rc;
}

static int cmd_flip(struct damage *d, const struct damage_args *a,
		    struct vhdx_err *e)
{
	uint8_t b;
	int rc = file_read(d->file, a->n[1], &b, 1, e);

	b = (uint8_t)~b;
	return rc ? rc : file_write(d->file, a->n[1], &b, 1, e);
}

static int cmd_copy(struct damage *d, const struct damage_args *a,
		    struct vhdx_err *e)
{
	uint8_t *b = malloc(a->n[3]);
	int rc = file_read(d->file, a->n[1], b, a->n[3], e);

	if (!rc)
		rc = file_write(d->file, a->n[2], b, a->n[3], e);
	free(b);
	return rc;
}

static int cmd_truncate(struct damage *d, const struct damage_args *a,
			struct vhdx_err *e)
{
	return file_truncate(d->file, a->n[1], e);
}

/* Checksums are at the same place in all four, and made in the same way as a
 * log entry's. */
static int cmd_crc(struct damage *d, const struct damage_args *a,
		   struct vhdx_err *e)
{
	size_t len = a->n[1] < FMT_REGION_OFF(0) ? FMT_HEADER_LEN
						 : FMT_REGION_LEN;
	uint8_t *b = malloc(len);
	int rc = file_read(d->file, a->n[1], b, len, e);

	log_entry_seal(b, len);
	if (!rc)
		rc = file_write(d->file, a->n[1], b, len, e);
	free(b);
	return rc;
}

static int add_item(struct damage *d, const struct guid *id, uint64_t off,
		    uint64_t len, uint64_t flags, struct vhdx_err *e)
{
	uint8_t b[32] = { 0 }, cnt[2];
	uint16_t n;
	int rc = file_read(d->file, d->meta_off + 10, cnt, 2, e);

	n = get_le16(cnt);
	memcpy(b, id->b, 16);
	put_le32(b + 16, (uint32_t)off);
	put_le32(b + 20, (uint32_t)len);
	put_le32(b + 24, (uint32_t)flags);
	if (!rc)
		rc = file_write(d->file, d->meta_off + 32 * (n + UINT64_C(1)),
				b, sizeof(b), e);
	return rc ? rc : put(d, d->meta_off + 10, n + UINT64_C(1), 2, e);
}

static int cmd_item(struct damage *d, const struct damage_args *a,
		    struct vhdx_err *e)
{
	struct guid id = FMT_META_LOCATOR;

	if (strcmp(a->v[1], "locator") != 0 && !guid_parse(a->v[1], &id))
		return err_set(e, VHDX_E_INVAL, "not a GUID: %s", a->v[1]);
	return add_item(d, &id, a->n[2], a->n[3], a->n[4], e);
}

static int cmd_items(struct damage *d, const struct damage_args *a,
		     struct vhdx_err *e)
{
	struct guid id;
	int rc = 0;

	if (!guid_parse(a->v[2], &id))
		return err_set(e, VHDX_E_INVAL, "not a GUID: %s", a->v[2]);
	for (uint64_t i = 0; i < a->n[1] && !rc; i++) {
		put_le32(id.b, (uint32_t)(i + 1));
		rc = add_item(d, &id, 0, 0, 1, e);
	}
	return rc;
}

static int cmd_region(struct damage *d, const struct damage_args *a,
		      struct vhdx_err *e)
{
	uint8_t b[32] = { 0 }, cnt[4];
	struct guid id;
	int rc = 0;

	if (!guid_parse(a->v[1], &id))
		return err_set(e, VHDX_E_INVAL, "not a GUID: %s", a->v[1]);
	memcpy(b, id.b, 16);
	put_le64(b + 16, a->n[2]);
	put_le32(b + 24, (uint32_t)a->n[3]);
	put_le32(b + 28, (uint32_t)a->n[4]);
	for (int i = 0; i < 2 && !rc; i++) {
		uint64_t off = FMT_REGION_OFF(i);
		struct damage_args crc = { .n = { 0, off } };

		rc = file_read(d->file, off + 8, cnt, 4, e);
		if (!rc)
			rc = file_write(d->file,
					off + 16 + 32 * (uint64_t)get_le32(cnt),
					b, sizeof(b), e);
		if (!rc)
			rc = put(d, off + 8, get_le32(cnt) + UINT64_C(1), 4, e);
		if (!rc)
			rc = cmd_crc(d, &crc, e);
	}
	return rc;
}

static uint32_t put_text(uint8_t *item, uint32_t *pos, const char *text,
			 size_t len)
{
	uint32_t at = *pos;

	for (size_t i = 0; i < len; i++)
		put_le16(item + at + 2 * i, (uint8_t)text[i]);
	*pos += 2 * (uint32_t)len;
	return at;
}

#define PARENT_OFF (128 * KIB)
#define PARENT_LEN 4096u

static int cmd_parent(struct damage *d, const struct damage_args *a,
		      struct vhdx_err *e)
{
	static const struct guid type = GUID_INIT(0xb04aefb7, 0xd19e, 0x4a81,
		0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);
	uint8_t b[PARENT_LEN] = { 0 };
	uint32_t pos = 20 + 12 * 16;
	int rc = put(d, d->item_off[0] + 4, 2, 4, e);

	memcpy(b, type.b, 16);
	put_le16(b + 18, (uint16_t)(a->cnt - 1));
	for (int i = 1; i < a->cnt; i++) {
		const char *eq = strchr(a->v[i], '=');
		size_t key = (size_t)(eq - a->v[i]), val = strlen(eq + 1);
		uint8_t *p = b + 20 + 12 * (i - 1);

		put_le32(p, put_text(b, &pos, a->v[i], key));
		put_le32(p + 4, put_text(b, &pos, eq + 1, val));
		put_le16(p + 8, (uint16_t)(2 * key));
		put_le16(p + 10, (uint16_t)(2 * val));
	}
	if (!rc)
		rc = file_write(d->file, d->meta_off + PARENT_OFF, b,
				sizeof(b), e);
	return rc ? rc : add_item(d, &FMT_META_LOCATOR, PARENT_OFF, PARENT_LEN,
				  4, e);
}

/* ---- running ------------------------------------------------------------- */

static const struct {
	const char *name;
	int min_args;
	int (*fn)(struct damage *d, const struct damage_args *a,
		  struct vhdx_err *e);
} commands[] = {
	{ "create", 0, cmd_create },	 { "block", 1, cmd_block },
	{ "bat", 2, cmd_bat },		 { "put8", 2, cmd_put },
	{ "put16", 2, cmd_put },	 { "put32", 2, cmd_put },
	{ "put64", 2, cmd_put },	 { "puts", 2, cmd_puts },
	{ "guid", 2, cmd_guid },	 { "fill", 3, cmd_fill },
	{ "flip", 1, cmd_flip },	 { "copy", 3, cmd_copy },
	{ "crc", 1, cmd_crc },		 { "truncate", 1, cmd_truncate },
	{ "item", 4, cmd_item },	 { "items", 2, cmd_items },
	{ "region", 4, cmd_region },	 { "parent", 0, cmd_parent },
	{ "dirty", 1, damage_dirty },	 { "entry", 2, damage_entry },
	{ "seal", 1, damage_seal },	 { "be32", 2, damage_be },
	{ "be64", 2, damage_be },	 { "sum", 1, damage_sum },
	{ "vblock", 1, damage_vblock },	 { "vparent", 1, damage_vparent },
};

static int run_line(struct damage *d, char *line, struct vhdx_err *e)
{
	struct damage_args a = { 0 };
	char *save, *tok;

	line[strcspn(line, "#")] = '\0';
	for (tok = strtok_r(line, " \t", &save);
	     tok && a.cnt < DAMAGE_ARGS_MAX;
	     tok = strtok_r(NULL, " \t", &save)) {
		/* Those that are no numbers are for the command to read. */
		if (!damage_number(d, tok, &a.n[a.cnt]))
			a.n[a.cnt] = 0;
		a.v[a.cnt++] = tok;
	}
	if (!a.cnt)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, a.v[0]) == 0 &&
		    a.cnt > commands[i].min_args)
			return commands[i].fn(d, &a, e);
	return err_set(e, VHDX_E_INVAL, "no such command: %s", a.v[0]);
}

int damage_run(struct damage *d, const char *script, struct vhdx_err *e)
{
	char *copy = strdup(script), *save, *line;
	int rc = 0;

	for (line = strtok_r(copy, "\n", &save); line && !rc;
	     line = strtok_r(NULL, "\n", &save))
		rc = run_line(d, line, e);
	free(copy);
	return rc;
}
