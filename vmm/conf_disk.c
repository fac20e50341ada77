/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "conf_keys.h"
#include "err.h"
#include "mem.h"

static int set_place(const char *key, const char *text, uint64_t end,
		     unsigned *out, struct vhdx_err *e)
{
	uint64_t v;
	if (!conf_number(text, end - 1, &v))
		return err_set(e, VHDX_E_INVAL, "disk: %s '%s': it can be 0 to "
			       "%ju", key, text, (uintmax_t)(end - 1));
	*out = (unsigned)v;
	return 0;
}

/* One of two words. */
static int set_word(const char *key, const char *text, const char *no,
		    const char *yes, bool *out, struct vhdx_err *e)
{
	*out = strcmp(text, yes) == 0;
	if (*out || strcmp(text, no) == 0)
		return 0;
	return err_set(e, VHDX_E_INVAL, "disk: %s '%s': it can be one of: %s, "
		       "%s", key, text, no, yes);
}

int conf_disk_set(struct conf_disk *d, const char *key, const char *text,
		  struct vhdx_err *e)
{
	bool *flag = strcmp(key, "ro") == 0 ? &d->read_only :
		     strcmp(key, "force") == 0 ? &d->force : NULL;
	if (flag && !text) {
		*flag = true;
		return 0;
	}
	if (flag)
		return err_set(e, VHDX_E_INVAL, "disk: '%s' takes no value",
			       key);
	if (!text || !*text)
		text = "";
	if (strcmp(key, "path") == 0 && *text)
		return conf_string(&d->path, text, e);
	if (strcmp(key, "cache") == 0)
		return set_word(key, text, "writeback", "none", &d->direct, e);
	if (strcmp(key, "nospc") == 0)
		return set_word(key, text, "pause", "report", &d->report_nospc,
				e);
	if (strcmp(key, "controller") == 0)
		return set_place(key, text, CONF_CONTROLLERS, &d->controller,
				 e);
	if (strcmp(key, "lun") == 0)
		return set_place(key, text, CONF_LUNS, &d->lun, e);
	return err_set(e, VHDX_E_INVAL, "disk: '%s': it can be: path, ro, "
		       "cache=, controller=, lun=, nospc=, force", key);
}

/* The next part of the list: *p is moved behind it. Doubled commas become
 * one. */
static void next_part(const char **p, char *to)
{
	const char *from = *p;
	for (; *from; from++) {
		if (*from == ',' && from[1] != ',')
			break;
		if (*from == ',')
			from++;
		*to++ = *from;
	}
	*to = '\0';
	*p = *from ? from + 1 : NULL;
}

static int set_parts(const char *text, char *part, struct conf_disk *d,
		     struct vhdx_err *e)
{
	next_part(&text, part);
	int rc = conf_disk_set(d, "path", part, e);
	while (!rc && text) {
		next_part(&text, part);
		char *value = strchr(part, '=');
		if (value)
			*value++ = '\0';
		rc = strcmp(part, "path") != 0 ?
		     conf_disk_set(d, part, value, e) :
		     err_set(e, VHDX_E_INVAL, "disk: the path comes first, by "
			     "itself");
	}
	return rc;
}

int conf_disk_parse(const char *text, struct conf_disk *d, struct vhdx_err *e)
{
	char *part = mem_alloc(strlen(text) + 1);
	*d = (struct conf_disk){ .controller = CONF_ANY, .lun = CONF_ANY };
	if (!part)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	int rc = *text && *text != ',' ? set_parts(text, part, d, e) :
		 err_set(e, VHDX_E_INVAL, "disk '%s': it begins with the path "
			 "of an image", text);
	mem_free(part);
	if (rc)
		conf_disk_clear(d);
	return rc;
}

void conf_disk_clear(struct conf_disk *d)
{
	mem_free(d->path);
	d->path = NULL;
}

int conf_disk_add(struct conf *c, struct conf_disk *d, struct vhdx_err *e)
{
	if (c->disk_cnt < CONF_DISKS) {
		c->disk[c->disk_cnt++] = *d;
		return 0;
	}
	conf_disk_clear(d);
	return err_set(e, VHDX_E_INVAL, "more than %u disks", CONF_DISKS);
}

static const struct conf_disk *at(const struct conf *c, unsigned controller,
				  unsigned lun)
{
	for (unsigned i = 0; i < c->disk_cnt; i++)
		if (c->disk[i].controller == controller &&
		    c->disk[i].lun == lun)
			return &c->disk[i];
	return NULL;
}

/* With a LUN that was chosen and no controller, that is the first. */
static bool find_place(const struct conf *c, struct conf_disk *d)
{
	unsigned from = d->controller, end = from + 1;
	if (from == CONF_ANY) {
		from = 0;
		end = CONF_CONTROLLERS;
	}
	for (unsigned n = from; n < end; n++)
		for (unsigned lun = 0; lun < CONF_LUNS; lun++)
			if (!at(c, n, lun)) {
				d->controller = n;
				d->lun = lun;
				return true;
			}
	return false;
}

int conf_disk_place(struct conf *c, struct vhdx_err *e)
{
	for (unsigned i = 0; i < c->disk_cnt; i++) {
		struct conf_disk *d = &c->disk[i];
		if (d->lun == CONF_ANY)
			continue;
		if (d->controller == CONF_ANY)
			d->controller = 0;
		const struct conf_disk *other = at(c, d->controller, d->lun);
		if (other && other != d)
			return err_set(e, VHDX_E_INVAL, "disk %s: its place, "
				       "controller %u, LUN %u, is that of %s",
				       d->path, d->controller, d->lun,
				       other->path);
	}
	for (unsigned i = 0; i < c->disk_cnt; i++) {
		struct conf_disk *d = &c->disk[i];
		if (d->lun == CONF_ANY && !find_place(c, d))
			return err_set(e, VHDX_E_INVAL, "disk %s: all %u places"
				       " of its controller are taken", d->path,
				       CONF_LUNS);
	}
	return 0;
}
