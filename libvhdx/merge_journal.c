/* SPDX-License-Identifier: MIT */
/*
 * Lines of "KEY VALUE", in a fixed order. A path is the rest of its line, in
 * which control characters and the backslash are written as \xHH, so that any
 * name of the host fits into one line and the file can be read by a person.
 */
#include "merge_journal.h"

#include <string.h>

#include "crc32c.h"
#include "mem.h"

#define FIRST_LINE "vhdkit merge journal "
#define VERSION "1"
#define SUM_KEY "crc32c "
#define SUM_LINE_LEN (sizeof(SUM_KEY) - 1 + 8 + 1)

/* ---- names ------------------------------------------------------------- */

int merge_name_set(struct merge_name *n, const char *path,
		   const struct guid *id, struct vhdx_err *e)
{
	char *copy = mem_strdup(path);

	if (!copy)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	mem_free(n->path);
	n->path = copy;
	n->id = *id;
	return 0;
}

int merge_names_add(struct merge_names *n, const char *path,
		    const struct guid *id, struct vhdx_err *e)
{
	struct merge_name *v;
	int rc;

	if (n->cnt == MERGE_NAMES_MAX)
		return err_set(e, VHDX_E_RANGE, "%s: one file too many: a "
			       "merge can name %u of a kind", path,
			       MERGE_NAMES_MAX);
	if (n->cnt == n->cap) {
		v = mem_resize(n->v, n->cap ? 2 * n->cap : 8, sizeof(*v));
		if (!v)
			return err_set(e, VHDX_E_NOMEM, "%s: out of memory",
				       path);
		n->v = v;
		n->cap = n->cap ? 2 * n->cap : 8;
	}
	n->v[n->cnt] = (struct merge_name){ 0 };
	rc = merge_name_set(&n->v[n->cnt], path, id, e);
	if (!rc)
		n->cnt++;
	return rc;
}

void merge_names_free(struct merge_names *n)
{
	for (unsigned i = 0; i < n->cnt; i++)
		mem_free(n->v[i].path);
	mem_free(n->v);
	*n = (struct merge_names){ 0 };
}

void merge_journal_free(struct merge_journal *j)
{
	mem_free(j->child.path);
	mem_free(j->target.path);
	merge_names_free(&j->layers);
	merge_names_free(&j->grands);
	*j = (struct merge_journal){ 0 };
}

/* ---- writing ----------------------------------------------------------- */

struct writer {
	const char *folder;
	char *text; /* NULL: only count */
	size_t len;
};

static void put(struct writer *w, const char *s, size_t len)
{
	if (w->text)
		memcpy(w->text + w->len, s, len);
	w->len += len;
}

static void put_line(struct writer *w, const char *key, const char *value)
{
	put(w, key, strlen(key));
	put(w, " ", 1);
	put(w, value, strlen(value));
	put(w, "\n", 1);
}

static bool is_plain(char c)
{
	return (uint8_t)c >= ' ' && c != 0x7f && c != '\\';
}

static void put_name(struct writer *w, const char *key,
		     const struct merge_name *n)
{
	size_t folder_len = strlen(w->folder);
	const char *path = n->path;
	char id[GUID_TEXT_LEN], hex[8];

	if (strncmp(path, w->folder, folder_len) == 0 && path[folder_len] &&
	    path[folder_len] != '/')
		path += folder_len;
	guid_format(&n->id, id);
	put(w, key, strlen(key));
	put(w, " ", 1);
	put(w, id, strlen(id));
	put(w, " ", 1);
	for (const char *c = path; *c; c++) {
		if (is_plain(*c)) {
			put(w, c, 1);
			continue;
		}
		snprintf(hex, sizeof(hex), "\\x%02x", (uint8_t)*c);
		put(w, hex, 4);
	}
	put(w, "\n", 1);
}

static void put_all(struct writer *w, const struct merge_journal *j)
{
	char id[GUID_TEXT_LEN];

	put(w, FIRST_LINE VERSION "\n", strlen(FIRST_LINE VERSION "\n"));
	put_line(w, "phase", j->phase == MERGE_COPY ? "copy" : "link");
	put_line(w, "keep", j->keep ? "yes" : "no");
	guid_format(&j->new_id, id);
	put_line(w, "new", id);
	put_name(w, "child", &j->child);
	put_name(w, "target", &j->target);
	for (unsigned i = 0; i < j->layers.cnt; i++)
		put_name(w, "layer", &j->layers.v[i]);
	for (unsigned i = 0; i < j->grands.cnt; i++)
		put_name(w, "grandchild", &j->grands.v[i]);
}

int merge_journal_encode(const struct merge_journal *j, const char *folder,
			 char **text, size_t *len, struct vhdx_err *e)
{
	struct writer w = { .folder = folder };
	char sum[SUM_LINE_LEN + 1];

	*text = NULL;
	put_all(&w, j);
	if (w.len + SUM_LINE_LEN > MERGE_JOURNAL_MAX)
		return err_set(e, VHDX_E_RANGE, "the merge of %s names so many "
			       "files that its journal would be longer than "
			       "%llu bytes", j->child.path,
			       (unsigned long long)MERGE_JOURNAL_MAX);
	w.text = mem_alloc(w.len + SUM_LINE_LEN);
	if (!w.text)
		return err_set(e, VHDX_E_NOMEM, "no memory for a journal");
	w.len = 0;
	put_all(&w, j);
	snprintf(sum, sizeof(sum), SUM_KEY "%08x\n", crc32c(0, w.text, w.len));
	put(&w, sum, SUM_LINE_LEN);
	*text = w.text;
	*len = w.len;
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

struct reader {
	const char *pos, *end; /* end: of the lines before the checksum */
	unsigned line;	       /* of pos, from 1 */
	const char *folder;
	struct vhdx_err *err;
};

static int bad(const struct reader *r, const char *what)
{
	return err_set(r->err, VHDX_E_CORRUPT, "line %u of the journal: %s",
		       r->line, what);
}

/* The value of the line at pos, if that has the key: it ends before *end. */
static const char *value_of(const struct reader *r, const char *key,
			    const char **end)
{
	size_t key_len = strlen(key);
	size_t left = (size_t)(r->end - r->pos);

	*end = memchr(r->pos, '\n', left);
	if (!*end || left <= key_len || memcmp(r->pos, key, key_len) != 0 ||
	    r->pos[key_len] != ' ')
		return NULL;
	return r->pos + key_len + 1;
}

static void next_line(struct reader *r, const char *end)
{
	r->pos = end + 1;
	r->line++;
}

/* One of two words: 0 or 1. */
static int read_word(struct reader *r, const char *key, const char *a,
		     const char *b, bool *is_b)
{
	const char *end, *v = value_of(r, key, &end);
	size_t len = v ? (size_t)(end - v) : 0;
	char what[64];

	*is_b = v && len == strlen(b) && memcmp(v, b, len) == 0;
	if (*is_b || (v && len == strlen(a) && memcmp(v, a, len) == 0)) {
		next_line(r, end);
		return 0;
	}
	snprintf(what, sizeof(what), "\"%s %s\" or \"%s %s\" must stand there",
		 key, a, key, b);
	return bad(r, what);
}

static bool read_guid(const char *v, const char *end, struct guid *out)
{
	char text[GUID_TEXT_LEN];

	if (end - v < GUID_TEXT_LEN - 1)
		return false;
	memcpy(text, v, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return text[0] != '{' && guid_parse(text, out);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a path at *v, which is moved behind it; 0: none. */
static char read_char(const char **v, const char *end)
{
	const char *c = *v;
	int hi, lo;

	if (is_plain(*c)) {
		*v = c + 1;
		return *c;
	}
	if (*c != '\\' || end - c < 4 || c[1] != 'x')
		return 0;
	hi = hex_digit(c[2]);
	lo = hex_digit(c[3]);
	if (hi < 0 || lo < 0 || is_plain((char)(16 * hi + lo)))
		return 0;
	*v = c + 4;
	return (char)(16 * hi + lo);
}

/* "ID PATH" of a line that has the key. */
static int read_name(struct reader *r, const char *key, struct guid *id,
		     char path[MERGE_PATH_MAX])
{
	const char *end, *v = value_of(r, key, &end);
	size_t len = 0, folder_len = strlen(r->folder);

	if (!v || !read_guid(v, end, id))
		return bad(r, "a name with its identity must stand there");
	v += GUID_TEXT_LEN - 1;
	if (end - v < 2 || *v++ != ' ')
		return bad(r, "no path behind the identity");
	if (*v != '/') {
		len = u64_min(folder_len, MERGE_PATH_MAX - 1);
		memcpy(path, r->folder, len);
	}
	while (v < end) {
		char c = read_char(&v, end);

		if (!c)
			return bad(r, "a character that a path cannot have, or "
				   "must have in another form");
		if (len + 1 >= MERGE_PATH_MAX)
			return bad(r, "a path that is too long");
		path[len++] = c;
	}
	path[len] = '\0';
	next_line(r, end);
	return 0;
}

static int read_one(struct reader *r, const char *key, struct merge_name *n)
{
	char path[MERGE_PATH_MAX];
	struct guid id;
	int rc = read_name(r, key, &id, path);

	return rc ? rc : merge_name_set(n, path, &id, r->err);
}

static int read_list(struct reader *r, const char *key, struct merge_names *n)
{
	char path[MERGE_PATH_MAX];
	const char *end;
	struct guid id;
	int rc = 0;

	while (!rc && value_of(r, key, &end)) {
		rc = read_name(r, key, &id, path);
		if (!rc)
			rc = merge_names_add(n, path, &id, r->err);
	}
	return rc;
}

static int read_new(struct reader *r, struct guid *id)
{
	const char *end, *v = value_of(r, "new", &end);

	if (!v || end - v != GUID_TEXT_LEN - 1 || !read_guid(v, end, id))
		return bad(r, "\"new\" and an identity must stand there");
	next_line(r, end);
	return 0;
}

static int read_first(struct reader *r)
{
	static const char first[] = FIRST_LINE;
	const char *end = memchr(r->pos, '\n', (size_t)(r->end - r->pos));
	size_t len = end ? (size_t)(end - r->pos) : 0;

	if (len < sizeof(first) ||
	    memcmp(r->pos, first, sizeof(first) - 1) != 0)
		return bad(r, "it is no journal of a merge");
	if (len != strlen(FIRST_LINE VERSION) ||
	    memcmp(r->pos, FIRST_LINE VERSION, len) != 0)
		return err_set(r->err, VHDX_E_UNSUPPORTED, "the journal is of "
			       "another version than " VERSION ": finish the "
			       "merge with the vhdtool that began it");
	next_line(r, end);
	return 0;
}

static int read_sum(const char *text, size_t len, struct reader *r)
{
	char want[SUM_LINE_LEN + 1];

	if (len <= SUM_LINE_LEN)
		return bad(r, "it is no journal of a merge");
	r->end = text + len - SUM_LINE_LEN;
	snprintf(want, sizeof(want), SUM_KEY "%08x\n",
		 crc32c(0, text, len - SUM_LINE_LEN));
	if (memcmp(r->end, want, SUM_LINE_LEN) != 0)
		return err_set(r->err, VHDX_E_CORRUPT, "the journal is damaged "
			       "or was edited: its checksum is wrong");
	return 0;
}

int merge_journal_decode(const char *text, size_t len, const char *folder,
			 struct merge_journal *out, struct vhdx_err *e)
{
	struct reader r = { text, text + len, 1, folder, e };
	bool link = false;
	int rc;

	*out = (struct merge_journal){ 0 };
	rc = read_first(&r);
	if (!rc)
		rc = read_sum(text, len, &r);
	if (!rc)
		rc = read_word(&r, "phase", "copy", "link", &link);
	if (!rc)
		rc = read_word(&r, "keep", "no", "yes", &out->keep);
	if (!rc)
		rc = read_new(&r, &out->new_id);
	if (!rc)
		rc = read_one(&r, "child", &out->child);
	if (!rc)
		rc = read_one(&r, "target", &out->target);
	if (!rc)
		rc = read_list(&r, "layer", &out->layers);
	if (!rc)
		rc = read_list(&r, "grandchild", &out->grands);
	if (!rc && r.pos != r.end)
		rc = bad(&r, "something that does not belong there");
	out->phase = link ? MERGE_LINK : MERGE_COPY;
	if (rc)
		merge_journal_free(out);
	return rc;
}
