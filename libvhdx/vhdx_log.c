/* SPDX-License-Identifier: MIT */
/*
 * The log of a VHDX file as something to look at, to replay, or to give up,
 * without opening the image.
 */
#include <string.h>

#include "image.h"
#include "mem.h"
#include "recover.h"
#include "replay.h"

/* A VHDX file and its headers, for the time of one call. */
struct session {
	struct loop *loop;
	struct file *file;
	struct header_pair hdr;
};

static int session_open(struct session *s, const char *path, unsigned flags,
			struct vhdx_err *e)
{
	enum vhdx_format format;
	int rc = loop_new(&s->loop, e);

	if (!rc)
		rc = opener_default.open(&opener_default, s->loop, path, flags,
					 &s->file, e);
	if (!rc)
		rc = image_probe(s->file, &format, e);
	if (rc)
		return rc;
	if (format != VHDX_FORMAT_VHDX)
		return err_set(e, VHDX_E_UNSUPPORTED,
			       "%s is a %s image: only VHDX files have a log",
			       path, vhdx_format_name(format));
	return header_load(s->file, &s->hdr, e);
}

static void session_close(struct session *s)
{
	file_close(s->file);
	loop_free(s->loop);
	mem_free(s);
}

static int session_new(const char *path, unsigned flags, struct session **out,
		       struct vhdx_err *e)
{
	struct session *s = mem_zalloc(sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, VHDX_E_NOMEM, "no memory to open %s", path);
	rc = session_open(s, path, flags, e);
	if (rc) {
		session_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

/* ---- show ---------------------------------------------------------------- */

struct show {
	void (*entry)(void *, const struct vhdx_log_entry *);
	void (*desc)(void *, const struct vhdx_log_desc *);
	void *arg;
};

static int show_one(void *arg, uint64_t log_off,
		    const struct fmt_log_entry *n, const struct fmt_log_desc *d)
{
	const struct show *s = arg;

	if (d && s->desc)
		s->desc(s->arg, &(struct vhdx_log_desc){
					.zero = d->zero,
					.file_off = d->file_off,
					.len = d->zero ? d->zero_len
						       : FMT_LOG_SECTOR,
				});
	if (!d && s->entry)
		s->entry(s->arg, &(struct vhdx_log_entry){
					 .off = log_off,
					 .len = n->len,
					 .seq = n->seq,
					 .tail_off = n->tail,
					 .flushed_len = n->flushed_len,
					 .last_len = n->last_len,
					 .desc_cnt = n->desc_cnt,
					 .replays = true,
				 });
	return 0;
}

static int show(struct session *s, struct show *how,
		struct vhdx_log_state *state, struct vhdx_err *e)
{
	const struct fmt_header *h = &s->hdr.cur;
	struct replay_seq seq = { 0 };
	int rc;

	*state = (struct vhdx_log_state){
		.dirty = !guid_is_zero(&h->log),
		.log_off = h->log_off,
		.log_len = h->log_len,
	};
	memcpy(state->log_guid, h->log.b, sizeof(state->log_guid));
	if (!state->dirty)
		return 0;
	rc = replay_scan(s->file, h, &seq, e);
	if (!rc) {
		state->valid = true;
		state->entry_cnt = seq.entry_cnt;
		rc = replay_walk(s->file, h, &seq, show_one, how, e);
	}
	replay_free(&seq);
	return rc;
}

int vhdx_log_show(const char *path,
		  void (*entry)(void *, const struct vhdx_log_entry *),
		  void (*desc)(void *, const struct vhdx_log_desc *),
		  void *arg, struct vhdx_log_state *state, struct vhdx_err *e)
{
	struct show how = { .entry = entry, .desc = desc, .arg = arg };
	struct vhdx_log_state unwanted;
	struct session *s;
	int rc;

	state = state ? state : &unwanted;
	memset(state, 0, sizeof(*state));
	rc = session_new(path, 0, &s, e);
	if (rc)
		return rc;
	rc = show(s, &how, state, e);
	session_close(s);
	return rc;
}

/* ---- replay and discard -------------------------------------------------- */

int vhdx_log_replay(const char *path, uint64_t *entries, struct vhdx_err *e)
{
	struct session *s;
	int rc;

	if (entries)
		*entries = 0;
	rc = session_new(path, OPENER_WRITE, &s, e);
	if (rc)
		return rc;
	rc = recover_log(s->file, &s->hdr, entries, e);
	session_close(s);
	return rc;
}

/* All three GUIDs in one update: the bytes of the file stay, but without the
 * log they mean something else, to its children too. */
int vhdx_log_discard(const char *path, struct vhdx_err *e)
{
	struct session *s;
	int rc = session_new(path, OPENER_WRITE, &s, e);

	if (rc)
		return rc;
	if (!guid_is_zero(&s->hdr.cur.log)) {
		guid_random(&s->hdr.cur.file_write);
		guid_random(&s->hdr.cur.data_write);
		memset(&s->hdr.cur.log, 0, sizeof(s->hdr.cur.log));
		rc = header_update(s->file, &s->hdr, e);
	}
	session_close(s);
	return rc;
}
