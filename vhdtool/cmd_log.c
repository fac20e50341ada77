/* SPDX-License-Identifier: MIT */
/*
 * The log of a VHDX file: what a writer that did not close the file has
 * flushed, but not yet put in its place.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "cmd.h"
#include "img.h"
#include "out.h"

/* ---- reading the log ----------------------------------------------------- */

/* What a walk over the log adds up to, and how it is shown meanwhile. */
struct log_walk {
	bool print;
	json_t *entries; /* NULL: text or nothing */
	json_t *descs;	 /* of the entry that is being read */
	uint64_t write_len, zero_len; /* bytes a replay would write, zero */
	uint64_t end_off; /* the file is at least this long after a replay */
};

static void raise_end(struct log_walk *w, uint64_t off)
{
	if (off > w->end_off)
		w->end_off = off;
}

static void on_entry(void *arg, const struct vhdx_log_entry *x)
{
	struct log_walk *w = arg;
	if (x->replays)
		raise_end(w, x->last_len);
	char descs[OUT_SIZE_LEN];
	if (w->print)
		printf("entry %ju: at %ju in the log, %ju bytes, %s, tail "
		       "%ju, file length %ju flushed, %ju needed%s\n",
		       (uintmax_t)x->seq, (uintmax_t)x->off,
		       (uintmax_t)x->len,
		       out_count(x->desc_cnt, "descriptor", "descriptors",
				 descs), (uintmax_t)x->tail_off,
		       (uintmax_t)x->flushed_len, (uintmax_t)x->last_len,
		       x->replays ? "" : "; already in place");
	if (!w->entries)
		return;
	json_t *j = json_object();
	json_object_set_new(j, "sequence", out_u64(x->seq));
	json_object_set_new(j, "log_offset", out_u64(x->off));
	json_object_set_new(j, "length", out_u64(x->len));
	json_object_set_new(j, "tail_offset", out_u64(x->tail_off));
	json_object_set_new(j, "flushed_file_length", out_u64(x->flushed_len));
	json_object_set_new(j, "last_file_length", out_u64(x->last_len));
	json_object_set_new(j, "replays", json_boolean(x->replays));
	w->descs = json_array();
	json_object_set_new(j, "descriptors", w->descs);
	json_array_append_new(w->entries, j);
}

static void on_desc(void *arg, const struct vhdx_log_desc *d)
{
	struct log_walk *w = arg;
	if (d->zero)
		w->zero_len += d->len;
	else
		w->write_len += d->len;
	raise_end(w, d->file_off + d->len);
	if (w->print)
		printf("  %s %ju bytes at file offset %ju\n",
		       d->zero ? "zero" : "write", (uintmax_t)d->len,
		       (uintmax_t)d->file_off);
	if (!w->descs)
		return;
	json_t *j = json_object();
	json_object_set_new(j, "kind", json_string(d->zero ? "zero" : "write"));
	json_object_set_new(j, "file_offset", out_u64(d->file_off));
	json_object_set_new(j, "length", out_u64(d->len));
	json_array_append_new(w->descs, j);
}

static int walk_log(const char *path, struct log_walk *w,
		    struct vhdx_log_state *state)
{
	struct vhdx_err err;
	if (vhdx_log_show(path, on_entry, on_desc, w, state, &err))
		return msg_err(path, &err);
	return STATUS_OK;
}

/* ---- show ---------------------------------------------------------------- */

static const char *entries(uint64_t cnt, char buf[OUT_SIZE_LEN])
{
	return out_count(cnt, "entry", "entries", buf);
}

static const char *state_name(const struct vhdx_log_state *s)
{
	return !s->dirty ? "clean" : s->valid ? "dirty" : "unusable";
}

static void print_state(const char *path, const struct vhdx_log_state *s)
{
	const char *word = msg_shell_word(path);
	char cnt[OUT_SIZE_LEN];
	if (!s->dirty)
		printf("%s: the log is clean: there is nothing to replay\n",
		       path);
	else if (s->valid)
		printf("%s: the log is DIRTY: %s to replay; to do so: "
		       "vhdtool log replay %s\n", path,
		       entries(s->entry_cnt, cnt), word);
	else
		printf("%s: the log is marked dirty, but holds no valid "
		       "sequence of entries; see: vhdtool check %s\n", path,
		       word);
}

static json_t *state_json(const char *path, const struct vhdx_log_state *s,
			  json_t *list)
{
	char id[OUT_GUID_LEN];
	json_t *j = json_object();
	json_object_set_new(j, "file", out_string(path));
	json_object_set_new(j, "state", json_string(state_name(s)));
	json_object_set_new(j, "log_id",
			    json_string(out_guid(s->log_guid,
						 VHDX_FORMAT_VHDX, id)));
	json_object_set_new(j, "log_offset", out_u64(s->log_off));
	json_object_set_new(j, "log_length", out_u64(s->log_len));
	json_object_set_new(j, "entries_to_replay", out_u64(s->entry_cnt));
	json_object_set_new(j, "entries", list);
	return j;
}

struct show_args {
	bool json;
};

static int exec_show(const struct cmd *c, int argc, char **argv)
{
	struct show_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	struct log_walk w = { .print = !a.json };
	if (a.json)
		w.entries = json_array();
	struct vhdx_log_state state;
	status = walk_log(pos[0], &w, &state);
	if (status) {
		json_decref(w.entries);
		return status;
	}
	status = state.dirty && !state.valid ? STATUS_INTEGRITY : STATUS_OK;
	if (a.json)
		return out_json(state_json(pos[0], &state, w.entries))
			       ? STATUS_FAILED : status;
	print_state(pos[0], &state);
	return status;
}

static const struct opt show_options[] = {
	OPT_JSON(struct show_args, json),
	OPT_END
};

static const struct cmd cmd_log_show = {
	.name = "log show",
	.synopsis = "[--json] FILE",
	.brief = "list the entries of the log",
	.notes = "Changes nothing. Exit status 6: the log is marked dirty, but "
		 "cannot be replayed.\n",
	.opts = show_options,
	.exec = exec_show,
};

/* ---- replay -------------------------------------------------------------- */

struct change_args {
	bool dry_run;
	bool force;
};

/* Bytes by which a replay lengthens the file. */
static uint64_t growth(const char *path, const struct log_walk *w)
{
	struct stat st;
	if (stat(path, &st) != 0 || w->end_off <= (uint64_t)st.st_size)
		return 0;
	return w->end_off - (uint64_t)st.st_size;
}

static int plan_replay(const char *path, bool dry_run, bool *needed)
{
	struct log_walk w = { 0 };
	struct vhdx_log_state state;
	int status = walk_log(path, &w, &state);
	if (status)
		return status;
	*needed = state.dirty;
	/* What a replay writes may all lie in holes of the file. */
	uint64_t need_len = state.dirty ? w.write_len : 0;
	status = img_check_space(path, need_len);
	if (status || !dry_run)
		return status;
	if (!state.dirty) {
		printf("the log is clean: nothing would be done\n");
		return STATUS_OK;
	}
	char cnt[OUT_SIZE_LEN], wr[OUT_SIZE_LEN], grow[OUT_SIZE_LEN];
	char need[OUT_SIZE_LEN];
	printf("would replay %s: write %s, zero %ju bytes, lengthen the file "
	       "by %s\nneeds at most %s on the host\n",
	       entries(state.entry_cnt, cnt), out_size(w.write_len, wr),
	       (uintmax_t)w.zero_len, out_size(growth(path, &w), grow),
	       out_size(need_len, need));
	return STATUS_OK;
}

static int exec_replay(const struct cmd *c, int argc, char **argv)
{
	struct change_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	bool needed;
	status = plan_replay(pos[0], a.dry_run, &needed);
	if (status || a.dry_run)
		return status;
	uint64_t entry_cnt = 0;
	struct vhdx_err err;
	if (needed && vhdx_log_replay(pos[0], &entry_cnt, &err))
		return msg_err(pos[0], &err);
	char buf[OUT_SIZE_LEN];
	if (needed)
		printf("replayed %s; the log is clean\n",
		       entries(entry_cnt, buf));
	else
		printf("the log was clean: nothing was done\n");
	return STATUS_OK;
}

static const struct opt replay_options[] = {
	{ "dry-run", OPT_FLAG, offsetof(struct change_args, dry_run), NULL,
	  "only say what would be written", NULL },
	OPT_END
};

static const struct cmd cmd_log_replay = {
	.name = "log replay",
	.synopsis = "[--dry-run] FILE",
	.brief = "apply the log to the file and mark it clean",
	.notes = "Loses nothing and may be interrupted and repeated at any "
		 "point.\n",
	.opts = replay_options,
	.exec = exec_replay,
};

/* ---- discard ------------------------------------------------------------- */

static int exec_discard(const struct cmd *c, int argc, char **argv)
{
	struct change_args a = { 0 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	struct log_walk w = { 0 };
	struct vhdx_log_state state;
	struct vhdx_err err;
	status = walk_log(pos[0], &w, &state);
	if (status)
		return status;
	if (!state.dirty) {
		printf("the log is clean: nothing to discard\n");
		return STATUS_OK;
	}
	char buf[OUT_SIZE_LEN];
	if (state.valid && !a.force)
		return say_fail(STATUS_FAILED, pos[0],
				"the log can be replayed: vhdtool log replay "
				"%s; to lose %s all the same, add --force",
				msg_shell_word(pos[0]),
				entries(state.entry_cnt, buf));
	/* Its content, and so its id, will be another one. */
	status = img_guard_children_alone(pos[0], true, NULL);
	if (status)
		return status;
	if (!a.dry_run && vhdx_log_discard(pos[0], &err))
		return msg_err(pos[0], &err);
	printf("%s the log with %s; the file may %s be inconsistent: vhdtool "
	       "check %s\n", a.dry_run ? "would discard" : "discarded",
	       entries(state.entry_cnt, buf), a.dry_run ? "then" : "now",
	       msg_shell_word(pos[0]));
	return STATUS_OK;
}

static const struct opt discard_options[] = {
	{ "force", OPT_FLAG, offsetof(struct change_args, force), NULL,
	  "discard a log that could be replayed", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct change_args, dry_run), NULL,
	  "only say what would be lost", NULL },
	OPT_END
};

static const struct cmd cmd_log_discard = {
	.name = "log discard",
	.synopsis = "[OPTIONS] FILE",
	.brief = "mark the log clean WITHOUT applying it",
	.notes = "The last resort for a log that cannot be replayed: changes "
		 "that the last writer\nhad flushed are lost, and the file may "
		 "be inconsistent afterwards.\n",
	.opts = discard_options,
	.exec = exec_discard,
};

static const struct cmd *const subs[] = {
	&cmd_log_show, &cmd_log_replay, &cmd_log_discard, NULL,
};

const struct cmd cmd_log = {
	.name = "log",
	.synopsis = "COMMAND [OPTIONS] FILE",
	.brief = "show, replay or discard the log of a vhdx file",
	.subs = subs,
};
