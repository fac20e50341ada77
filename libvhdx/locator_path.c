/* SPDX-License-Identifier: MIT */
/*
 * Host paths and the Windows paths of parent locators. Recorded is the way
 * from the child's real folder, because only that survives moving both files,
 * and the absolute path as a second chance. A host has no drives: its absolute
 * path /srv/a.vhdx is written \\?\\srv\a.vhdx, which no Windows path can be
 * (there a drive or a server follows the prefix), so it is known again here
 * and fails there without finding something else.
 */
#include "locator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

#define WIN_PREFIX "\\\\?\\"

static int no_memory(struct vhdx_err *e)
{
	return err_set(e, VHDX_E_NOMEM, "parent locator: out of memory");
}

static bool is_sep(char c)
{
	return c == '\\' || c == '/';
}

/* The bytes of path that name its folder: all up to the last slash. */
static size_t folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/* "folder/name", out of folder's first `len` bytes; the slash is added where
 * it is missing, and nothing before the name if there is no folder. */
static char *join(const char *folder, size_t len, const char *name)
{
	bool slash = len && folder[len - 1] != '/';
	char *s = mem_alloc(len + slash + strlen(name) + 1);

	if (!s)
		return NULL;
	memcpy(s, folder, len);
	if (slash)
		s[len] = '/';
	strcpy(s + len + slash, name);
	return s;
}

/* ---- writing ----------------------------------------------------------- */

/* In place: no empty, "." or ".." component is left of an absolute path. */
static void tidy(char *path)
{
	char *out = path;

	for (const char *in = path; *in;) {
		size_t n;

		in += strspn(in, "/");
		n = strcspn(in, "/");
		if (n == 2 && memcmp(in, "..", 2) == 0) {
			while (out > path && *--out != '/')
				;
		} else if (n && !(n == 1 && *in == '.')) {
			*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
	}
	*out = '\0';
}

/* The absolute path, without symbolic links in its folder: ".." means the
 * folder that the host will find, not what the text looks like. A folder that
 * is not there (an opener may have files of its own) counts as it is given. */
static int absolute(const char *path, char **out, struct vhdx_err *e)
{
	size_t len = folder_len(path);
	char *folder = len ? strndup(path, len) : strdup(".");
	char *real = folder ? realpath(folder, NULL) : NULL;
	int en = errno, rc = 0;

	*out = NULL;
	if (real)
		*out = join(real, strlen(real), path + len);
	else if (folder && *path == '/')
		*out = mem_strdup(path);
	else if (folder)
		rc = err_sys(e, en, "%s: find its folder", path);
	if (*out)
		tidy(*out);
	else if (!rc)
		rc = no_memory(e);
	free(real);
	free(folder);
	return rc;
}

/* The way from child's folder to parent; both are tidy. */
static char *relative(const char *child, const char *parent)
{
	size_t common = 0, ups = 0;
	char *s, *p;

	for (size_t i = 0; child[i] && child[i] == parent[i]; i++)
		if (child[i] == '/')
			common = i + 1;
	for (const char *c = child + common; *c; c++)
		ups += *c == '/';
	s = p = mem_alloc(3 * ups + 2 + strlen(parent + common) + 1);
	if (!s)
		return NULL;
	if (ups == 0)
		p = stpcpy(p, "./");
	while (ups--)
		p = stpcpy(p, "../");
	strcpy(p, parent + common);
	return s;
}

static void to_backslashes(char *path)
{
	for (char *p = path; *p; p++)
		if (*p == '/')
			*p = '\\';
}

/* Sets, or with NULL removes, a key; *changed if it was not so before. */
static int set_path(struct locator *l, const char *key, const char *value,
		    bool *changed, struct vhdx_err *e)
{
	char *old = locator_get(l, key);
	bool same = old ? value && strcmp(old, value) == 0 : !value;
	int rc = same ? 0 : locator_set(l, key, value, e);

	if (!rc && !same)
		*changed = true;
	mem_free(old);
	return rc;
}

static int set_relative(struct locator *l, const char *child,
			const char *parent, bool *changed, struct vhdx_err *e)
{
	char *rel = relative(child, parent);
	int rc;

	if (!rel)
		return no_memory(e);
	if (strchr(rel, '\\')) {
		rc = err_set(e, VHDX_E_INVAL, "%s: a path with a backslash in "
			     "a name cannot be recorded as a parent's: rename "
			     "it", parent);
	} else {
		to_backslashes(rel);
		rc = set_path(l, "relative_path", rel, changed, e);
	}
	mem_free(rel);
	return rc;
}

/* Only a second chance: left out if Windows cannot write it. */
static int set_absolute(struct locator *l, const char *parent, bool *changed,
			struct vhdx_err *e)
{
	char *abs;
	int rc;

	if (strchr(parent, '\\'))
		return set_path(l, "absolute_win32_path", NULL, changed, e);
	abs = mem_alloc(sizeof(WIN_PREFIX) + strlen(parent));
	if (!abs)
		return no_memory(e);
	strcpy(stpcpy(abs, WIN_PREFIX), parent);
	to_backslashes(abs);
	rc = set_path(l, "absolute_win32_path", abs, changed, e);
	mem_free(abs);
	if (rc == VHDX_E_INVAL)
		rc = set_path(l, "absolute_win32_path", NULL, changed, e);
	return rc;
}

int locator_set_linkage(struct locator *l, const char *key,
			const struct guid *id, struct vhdx_err *e)
{
	char text[GUID_TEXT_LEN + 2] = "{";

	guid_format(id, text + 1);
	strcat(text, "}");
	return locator_set(l, key, text, e);
}

int locator_set_paths(struct locator *l, const char *child_path,
		      const char *parent_path, struct vhdx_err *e)
{
	char *child = NULL, *parent = NULL;
	bool changed = false;
	int rc;

	rc = absolute(child_path, &child, e);
	if (!rc)
		rc = absolute(parent_path, &parent, e);
	if (!rc && strcmp(child, parent) == 0)
		rc = err_set(e, VHDX_E_INVAL, "%s: cannot be its own parent",
			     child);
	if (!rc)
		rc = set_relative(l, child, parent, &changed, e);
	if (!rc)
		rc = set_absolute(l, parent, &changed, e);
	/* A host has no volumes: it cannot tell where this one leads now. */
	if (!rc && changed)
		rc = locator_set(l, "volume_path", NULL, e);
	mem_free(child);
	mem_free(parent);
	return rc;
}

int locator_make(const char *child_path, const char *parent_path,
		 const struct guid *linkage, struct locator *out,
		 struct vhdx_err *e)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = locator_set_linkage(out, "parent_linkage", linkage, e);
	if (!rc)
		rc = locator_set_paths(out, child_path, parent_path, e);
	if (rc)
		locator_free(out);
	return rc;
}

/* ---- reading ----------------------------------------------------------- */

struct candidates {
	struct {
		char *path;
		const char *why;
	} *v;
	size_t cnt, cap;
};

static const char *base_name(const char *text)
{
	const char *base = text;

	for (; *text; text++)
		if (is_sep(*text))
			base = text + 1;
	return base;
}

static bool is_name(const char *base)
{
	return *base && strcmp(base, ".") != 0 && strcmp(base, "..") != 0;
}

/* Slashes for backslashes; empty and "." components go, ".." stay: what they
 * lead to is the host's to say. */
static void to_host(char *text)
{
	char *out = text;

	for (const char *in = text; *in;) {
		size_t n;

		in += strspn(in, "\\/");
		n = strcspn(in, "\\/");
		if (n && !(n == 1 && *in == '.')) {
			if (out > text)
				*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
	}
	*out = '\0';
}

/* Takes over path. */
static bool add(struct candidates *c, char *path, const char *why)
{
	void *v;

	if (!path)
		return false;
	for (size_t i = 0; i < c->cnt; i++)
		if (strcmp(c->v[i].path, path) == 0) {
			mem_free(path);
			return true;
		}
	if (c->cnt == c->cap) {
		v = mem_resize(c->v, 2 * c->cap + 8, sizeof(*c->v));
		if (!v) {
			mem_free(path);
			return false;
		}
		c->v = v;
		c->cap = 2 * c->cap + 8;
	}
	c->v[c->cnt].path = path;
	c->v[c->cnt++].why = why;
	return true;
}

enum place { PLACE_RELATIVE, PLACE_HOST, PLACE_WINDOWS };

static enum place place_of(const char **text)
{
	const char *t = *text;

	if (strncmp(t, WIN_PREFIX, strlen(WIN_PREFIX)) == 0) {
		*text = t + strlen(WIN_PREFIX);
		return is_sep(**text) ? PLACE_HOST : PLACE_WINDOWS;
	}
	if (is_sep(t[0]))
		return is_sep(t[1]) ? PLACE_WINDOWS : PLACE_HOST;
	if (((t[0] | 0x20) >= 'a' && (t[0] | 0x20) <= 'z') && t[1] == ':')
		return PLACE_WINDOWS;
	return PLACE_RELATIVE;
}

/* What `text` means to an image in this folder (`len` bytes of it). */
static bool add_recorded(struct candidates *c, const char *folder, size_t len,
			 const char *text, const char *key)
{
	enum place place = place_of(&text);
	bool by_name = place == PLACE_WINDOWS;
	char *host;
	bool ok;

	if (!is_name(base_name(text)))
		return true;
	if (place == PLACE_HOST) {
		folder = "/";
		len = 1;
	}
	host = mem_strdup(by_name ? base_name(text) : text);
	if (!host)
		return false;
	to_host(host);
	ok = add(c, join(folder, len, host), by_name ? LOCATOR_BY_NAME : key);
	mem_free(host);
	return ok;
}

/* From the child's folder, then from the one that the child really is in. */
static bool add_all_recorded(struct candidates *c, const char *child_path,
			     const struct parent_ref *ref)
{
	char b, *real = NULL;
	bool ok = true;

	if (readlink(child_path, &b, 1) > 0)
		real = realpath(child_path, NULL);
	for (unsigned i = 0; ok && i < ref->path_cnt; i++) {
		const char *text = ref->paths[i].text;
		const char *key = ref->paths[i].key;

		ok = add_recorded(c, child_path, folder_len(child_path), text,
				  key);
		if (ok && real)
			ok = add_recorded(c, real, folder_len(real), text, key);
	}
	free(real);
	return ok;
}

static bool add_searched(struct candidates *c, const char *folder,
			 const struct parent_ref *ref)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < ref->path_cnt; i++) {
		const char *name = base_name(ref->paths[i].text);

		if (is_name(name))
			ok = add(c, join(folder, strlen(folder), name),
				 LOCATOR_BY_SEARCH);
	}
	return ok;
}

int locator_candidates(const struct parent_ref *ref, const char *child_path,
		       const char *const *search, unsigned search_cnt,
		       bool (*fn)(void *arg, const char *host_path,
				  const char *why),
		       void *arg, struct vhdx_err *e)
{
	struct candidates c = { 0 };
	bool ok = add_all_recorded(&c, child_path, ref), found = false;

	for (unsigned i = 0; ok && i < search_cnt; i++)
		ok = add_searched(&c, search[i], ref);
	for (size_t i = 0; ok && !found && i < c.cnt; i++)
		found = fn(arg, c.v[i].path, c.v[i].why);
	for (size_t i = 0; i < c.cnt; i++)
		mem_free(c.v[i].path);
	mem_free(c.v);
	return ok ? 0 : no_memory(e);
}
