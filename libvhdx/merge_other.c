/* SPDX-License-Identifier: MIT */
/*
 * Merges that were cut off know the files between their child and their target
 * by identity and order, and one of those files may be half changed. So while
 * one waits to be finished no other may take, change or remove what it names.
 * And what a journal names is only believed as far as who wrote it could have
 * done it himself (M8 of merge.c).
 */
#include <string.h>
#include <sys/stat.h>

#include "mem.h"
#include "merge.h"
#include "mutation.h"

static bool is_ours(const struct merge *m, const char *path)
{
	for (unsigned i = 0; i < m->layers.cnt; i++)
		if (chain_same_file(m->layers.v[i].path, path))
			return true;
	return chain_same_file(m->j.target.path, path);
}

static bool uses_ours(const struct merge *m, const struct merge_journal *j)
{
	for (unsigned i = 0; i < j->layers.cnt; i++)
		if (is_ours(m, j->layers.v[i].path))
			return true;
	return is_ours(m, j->child.path) || is_ours(m, j->target.path);
}

int merge_check_other(const struct merge *m, const char *path,
		      struct vhdx_err *e)
{
	struct merge_journal j;
	struct vhdx_err err;
	bool stands;
	int rc;

	if (chain_same_file(path, m->journal_path))
		return 0;
	rc = merge_get_journal(m, path, path, &j, NULL, &err);
	if (rc == VHDX_E_NOTFOUND || (rc && m->opts->force))
		return 0;
	if (rc)
		return err_wrap(e, err_copy(e, &err, rc), "another merge was "
				"cut off, and cannot be understood (--force: "
				"it does not matter)");
	stands = uses_ours(m, &j);
	if (stands)
		rc = err_set(e, VHDX_E_LINKAGE, "%s: the merge of %s into %s "
			     "was cut off and has to be finished first: "
			     "vhdtool merge %s", m->child, j.child.path,
			     j.target.path, j.child.path);
	merge_journal_free(&j);
	return rc;
}

static int check_of(const struct merge *m, const char *image,
		    struct vhdx_err *e)
{
	size_t len = strlen(image);
	char *path = mem_alloc(len + sizeof(MERGE_JOURNAL_SUFFIX));
	int rc;

	if (!path)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", image);
	memcpy(path, image, len);
	strcpy(path + len, MERGE_JOURNAL_SUFFIX);
	rc = merge_check_other(m, path, e);
	mem_free(path);
	return rc;
}

int merge_check_others(const struct merge *m, struct vhdx_err *e)
{
	int rc = check_of(m, m->j.target.path, e);

	for (unsigned i = 1; !rc && i < m->layers.cnt; i++)
		rc = check_of(m, m->layers.v[i].path, e);
	for (unsigned i = 0; !rc && i < m->j.grands.cnt; i++)
		rc = check_of(m, m->j.grands.v[i].path, e);
	return rc;
}

/* ---- M8 ---------------------------------------------------------------- */

/* Right in the folder of the child, and the file itself. */
static bool is_near(const struct merge *m, const char *path)
{
	const char *slash = strrchr(m->child, '/');
	size_t len = slash ? (size_t)(slash - m->child) + 1 : 0;
	struct stat st;

	return strncmp(path, m->child, len) == 0 &&
	       !strchr(path + len, '/') &&
	       (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode));
}

static int check_near(const struct merge *m, const struct merge_names *names,
		      struct vhdx_err *e)
{
	for (unsigned i = 0; i < names->cnt; i++)
		if (!is_near(m, names->v[i].path))
			return err_set(e, VHDX_E_LINKAGE, "%s: another user "
				       "may have written it, and it names %s, "
				       "which is not in its folder: look at "
				       "both; --force takes its word",
				       m->journal_path, names->v[i].path);
	return 0;
}

int merge_check_own(const struct merge *m, struct vhdx_err *e)
{
	int rc = 0;

	/* While it copies the child is the one that was given. */
	if (m->j.phase == MERGE_LINK &&
	    !chain_same_file(m->j.child.path, m->child))
		return err_set(e, VHDX_E_LINKAGE, "%s: is of a merge of %s, "
			       "not of %s: give the file its name back",
			       m->journal_path, m->j.child.path, m->child);
	if (!m->foreign || m->opts->force || MUTATED(MERGE_FOREIGN_NEAR))
		return 0;
	if (!m->j.keep)
		rc = check_near(m, &m->j.grands, e);
	return rc ? rc : check_near(m, &m->j.layers, e);
}
