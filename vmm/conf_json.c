/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "conf_keys.h"
#include "err.h"
#include "mem.h"

/* A number or a word as the text that the command line would have; NULL for
 * anything else. */
static const char *scalar(const json_t *j, char buf[32])
{
	if (!json_is_integer(j))
		return json_string_value(j);
	snprintf(buf, 32, "%lld", (long long)json_integer_value(j));
	return buf;
}

/* What a file names is found beside the file. */
static int resolve(const char *folder, const char *text, char **out,
		   struct vhdx_err *e)
{
	const char *tail = text;
	const char *head = "";
	if (strncmp(text, "unix:", 5) == 0) {
		head = "unix:";
		tail = text + 5;
	}
	*out = NULL;
	if (!folder || tail[0] == '/')
		return conf_string(out, text, e);
	size_t len = strlen(head) + strlen(folder) + strlen(tail) + 2;
	*out = mem_alloc(len);
	if (!*out)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	snprintf(*out, len, "%s%s/%s", head, folder, tail);
	return 0;
}

static int disk_member(struct conf_disk *d, const char *key, const json_t *v,
		       struct vhdx_err *e)
{
	char buf[32];
	if (strcmp(key, "ro") == 0 || strcmp(key, "force") == 0) {
		if (!json_is_boolean(v))
			return err_set(e, VHDX_E_INVAL, "disk: \"%s\" is true "
				       "or false", key);
		return json_is_true(v) ? conf_disk_set(d, key, NULL, e) : 0;
	}
	const char *text = scalar(v, buf);
	if (!text)
		return err_set(e, VHDX_E_INVAL, "disk: \"%s\" is a string or a "
			       "number", key);
	return conf_disk_set(d, key, text, e);
}

int conf_disk_json(const json_t *j, const char *folder, struct conf_disk *d,
		   struct vhdx_err *e)
{
	const char *key, *text = json_string_value(j);
	json_t *v;
	int rc = 0;
	*d = (struct conf_disk){ .controller = CONF_ANY, .lun = CONF_ANY };
	if (text) {
		rc = conf_disk_parse(text, d, e);
	} else if (json_is_object(j)) {
		json_object_foreach((json_t *)(uintptr_t)j, key, v)
			if (!rc)
				rc = disk_member(d, key, v, e);
	}
	if (!rc && !d->path)
		rc = err_set(e, VHDX_E_INVAL, "disk: it is a string as for "
			     "--disk, or an object with \"path\"");
	char *found = NULL;
	if (!rc)
		rc = resolve(folder, d->path, &found, e);
	if (rc) {
		conf_disk_clear(d);
		return rc;
	}
	mem_free(d->path);
	d->path = found;
	return 0;
}

/* Keys that name a file or a folder. */
static bool is_path(const char *key, const char *text)
{
	static const char *const names[] = { "kernel", "initrd", "control",
					     "search" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], key) == 0)
			return strcmp(text, "none") != 0;
	return strcmp(key, "console") == 0 && strncmp(text, "unix:", 5) == 0;
}

static int set_one(struct conf *c, const struct conf_key *k, const json_t *v,
		   const char *folder, struct vhdx_err *e)
{
	char buf[32], *found;
	if (strcmp(k->name, "disk") == 0) {
		struct conf_disk d;
		int rc = conf_disk_json(v, folder, &d, e);
		return rc ? rc : conf_disk_add(c, &d, e);
	}
	const char *text = scalar(v, buf);
	if (!text)
		return err_set(e, VHDX_E_INVAL, "\"%s\" is a string or a "
			       "number%s", k->name, k->is_list ? ", or a list "
			       "of them" : "");
	if (!is_path(k->name, text))
		return k->set(c, text, e);
	int rc = resolve(folder, text, &found, e);
	if (!rc) {
		rc = k->set(c, found, e);
		mem_free(found);
	}
	return rc;
}

static int set_key(struct conf *c, const char *key, const json_t *v,
		   const char *folder, struct vhdx_err *e)
{
	const struct conf_key *k = conf_keys;
	while (k->name && strcmp(k->name, key) != 0)
		k++;
	if (!k->name)
		return err_set(e, VHDX_E_INVAL, "unknown key \"%s\"; see: vmm "
			       "run --help", key);
	if (!k->is_list || !json_is_array(v))
		return set_one(c, k, v, folder, e);
	int rc = 0;
	for (size_t i = 0; !rc && i < json_array_size(v); i++)
		rc = set_one(c, k, json_array_get(v, i), folder, e);
	return rc;
}

/* NULL: the current one. */
static int folder_of(const char *path, char **out, struct vhdx_err *e)
{
	const char *slash = strrchr(path, '/');
	*out = NULL;
	int rc = slash ? conf_string(out, path, e) : 0;
	if (*out)
		(*out)[slash - path] = '\0';
	return rc;
}

int conf_load(struct conf *c, const char *path, struct vhdx_err *e)
{
	json_error_t where;
	FILE *f = fopen(path, "re");
	if (!f)
		return err_sys(e, errno, "%s", path);
	json_t *root = json_loadf(f, JSON_REJECT_DUPLICATES, &where);
	fclose(f);
	if (!root)
		return err_set(e, VHDX_E_INVAL, "%s: line %d, column %d: %s",
			       path, where.line, where.column, where.text);
	const char *key;
	char *folder;
	json_t *v;
	int rc = folder_of(path, &folder, e);
	if (!rc && !json_is_object(root))
		rc = err_set(e, VHDX_E_INVAL, "it is no JSON object");
	json_object_foreach(root, key, v)
		if (!rc)
			rc = set_key(c, key, v, folder, e);
	mem_free(folder);
	json_decref(root);
	return rc ? err_wrap(e, rc, "%s", path) : 0;
}
