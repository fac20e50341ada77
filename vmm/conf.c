/* SPDX-License-Identifier: MIT */
#include "conf.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "conf_keys.h"
#include "err.h"
#include "mem.h"

#define MEMORY_MIN (16 * MIB)
#define MEMORY_MAX (64 * TIB)
#define NAME_MAX_LEN 64u

/* ---- values ------------------------------------------------------------- */

int conf_string(char **dst, const char *text, struct vhdx_err *e)
{
	char *copy = mem_strdup(text);
	if (!copy)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	mem_free(*dst);
	*dst = copy;
	return 0;
}

/* Digits; *end is behind them. False if there are none, or too many. */
static bool digits(const char *text, uint64_t *v, const char **end)
{
	const char *p = text;
	*v = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (ckd_mul(*v, UINT64_C(10), v) ||
		    ckd_add(*v, (uint64_t)(*p - '0'), v))
			return false;
	*end = p;
	return p != text;
}

bool conf_number(const char *text, uint64_t max, uint64_t *v)
{
	const char *end;
	return digits(text, v, &end) && !*end && *v <= max;
}

bool conf_size(const char *text, uint64_t *len)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t v;
	if (!digits(text, &v, &end))
		return false;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1] ||
		    ckd_mul(v, KIB << (10 * (unit - units)), &v))
			return false;
	}
	*len = v;
	return true;
}

/* ---- keys --------------------------------------------------------------- */

/* It stands in messages, file names and the guest's device ids. */
static int set_name(struct conf *c, const char *text, struct vhdx_err *e)
{
	size_t len = strlen(text);
	bool fits = len > 0 && len <= NAME_MAX_LEN;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < 0x21 || *p == 0x7f || *p == '/')
			fits = false;
	if (!fits)
		return err_set(e, VHDX_E_INVAL, "name '%s': 1 to %u bytes, no "
			       "blank, no '/'", text, NAME_MAX_LEN);
	return conf_string(&c->name, text, e);
}

static int set_memory(struct conf *c, const char *text, struct vhdx_err *e)
{
	uint64_t v;
	if (!conf_size(text, &v) || v < MEMORY_MIN || v > MEMORY_MAX ||
	    !is_aligned(v, MIB))
		return err_set(e, VHDX_E_INVAL, "memory '%s': 16M or more, in "
			       "whole MiB, such as 512M or 2G", text);
	c->memory_len = v;
	return 0;
}

static int set_cpus(struct conf *c, const char *text, struct vhdx_err *e)
{
	uint64_t v;
	if (!conf_number(text, CONF_CPUS, &v) || v == 0)
		return err_set(e, VHDX_E_INVAL, "cpus '%s': 1 to %u", text,
			       CONF_CPUS);
	c->cpus = (unsigned)v;
	return 0;
}

static int set_path(const char *key, char **dst, const char *text,
		    struct vhdx_err *e)
{
	if (!*text)
		return err_set(e, VHDX_E_INVAL, "%s: an empty path", key);
	return conf_string(dst, text, e);
}

static int set_kernel(struct conf *c, const char *text, struct vhdx_err *e)
{
	return set_path("kernel", &c->kernel, text, e);
}

static int set_initrd(struct conf *c, const char *text, struct vhdx_err *e)
{
	return set_path("initrd", &c->initrd, text, e);
}

static int set_cmdline(struct conf *c, const char *text, struct vhdx_err *e)
{
	return conf_string(&c->cmdline, text, e);
}

static int set_console(struct conf *c, const char *text, struct vhdx_err *e)
{
	bool known = strcmp(text, "stdio") == 0 || strcmp(text, "pty") == 0 ||
		     (strncmp(text, "unix:", 5) == 0 && text[5]);
	if (!known && strcmp(text, "none") != 0)
		return err_set(e, VHDX_E_INVAL, "console '%s': it can be one "
			       "of: stdio, pty, unix:PATH, none", text);
	if (known)
		return conf_string(&c->console, text, e);
	mem_free(c->console);
	c->console = NULL;
	return 0;
}

static int set_control(struct conf *c, const char *text, struct vhdx_err *e)
{
	return set_path("control", &c->control, text, e);
}

static int set_disk(struct conf *c, const char *text, struct vhdx_err *e)
{
	struct conf_disk d;
	int rc = conf_disk_parse(text, &d, e);
	return rc ? rc : conf_disk_add(c, &d, e);
}

static int set_search(struct conf *c, const char *text, struct vhdx_err *e)
{
	char **more = mem_resize(c->search, c->search_cnt + 1, sizeof(*more));
	if (!more)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	c->search = more;
	c->search[c->search_cnt] = NULL;
	int rc = set_path("search", &c->search[c->search_cnt], text, e);
	if (!rc)
		c->search_cnt++;
	return rc;
}

const struct conf_key conf_keys[] = {
	{ "name", false, set_name },
	{ "memory", false, set_memory },
	{ "cpus", false, set_cpus },
	{ "kernel", false, set_kernel },
	{ "initrd", false, set_initrd },
	{ "cmdline", false, set_cmdline },
	{ "console", false, set_console },
	{ "control", false, set_control },
	{ "disk", true, set_disk },
	{ "search", true, set_search },
	{ NULL, false, NULL },
};

/* ---- the command line --------------------------------------------------- */

enum { OPT_HELP = 'h', OPT_DRY_RUN = 255, OPT_KEY };

static void build(struct option *out)
{
	int cnt = 0;
	for (; conf_keys[cnt].name; cnt++)
		out[cnt] = (struct option){
			.name = conf_keys[cnt].name,
			.has_arg = required_argument,
			.val = OPT_KEY + cnt,
		};
	out[cnt++] = (struct option){ "dry-run", 0, NULL, OPT_DRY_RUN };
	out[cnt++] = (struct option){ "help", 0, NULL, OPT_HELP };
	out[cnt] = (struct option){ NULL, 0, NULL, 0 };
}

static int reject(int what, const char *word, struct vhdx_err *e)
{
	if (what == ':')
		return err_set(e, VHDX_E_INVAL, "%s: the option needs a value; "
			       "see: vmm run --help", word);
	return err_set(e, VHDX_E_INVAL, "unknown or ambiguous option %s; see: "
		       "vmm run --help", word);
}

/* Options are looked through twice: for the file, whose keys come first so
 * that the command line can say otherwise, and for what they say. */
static int each_option(struct conf *c, int argc, char **argv, bool store,
		       struct vhdx_err *e)
{
	struct option table[ARRAY_LEN(conf_keys) + 2];
	int what, rc;
	build(table);
	optind = 0;
	opterr = 0;
	while ((what = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
		if (what == ':' || what == '?')
			return reject(what, argv[optind - 1], e);
		if (what == OPT_HELP)
			c->help = true;
		else if (what == OPT_DRY_RUN)
			c->dry_run = true;
		else if (store && (rc = conf_keys[what - OPT_KEY].set(c,
							optarg, e)))
			return rc;
	}
	return 0;
}

static int complete(struct conf *c, struct vhdx_err *e)
{
	if (!c->kernel)
		return err_set(e, VHDX_E_INVAL, "no kernel: --kernel names a "
			       "bzImage");
	return conf_disk_place(c, e);
}

static int fill(struct conf *c, int argc, char **argv, struct vhdx_err *e)
{
	c->memory_len = 512 * MIB;
	c->cpus = 1;
	int rc = set_name(c, "vm", e);
	if (!rc)
		rc = set_console(c, "stdio", e);
	if (!rc)
		rc = each_option(c, argc, argv, false, e);
	if (rc || c->help)
		return rc;
	if (argc - optind > 1)
		return err_set(e, VHDX_E_INVAL, "usage: vmm run [OPTIONS] "
			       "[FILE.json]; see: vmm run --help");
	if (argc > optind)
		rc = conf_load(c, argv[optind], e);
	if (!rc)
		rc = each_option(c, argc, argv, true, e);
	return rc ? rc : complete(c, e);
}

int conf_parse(int argc, char **argv, struct conf **out, struct vhdx_err *e)
{
	struct conf *c = mem_zalloc(sizeof(*c));
	*out = NULL;
	if (!c)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	int rc = fill(c, argc, argv, e);
	if (rc) {
		conf_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->disk_cnt; i++)
		conf_disk_clear(&c->disk[i]);
	for (unsigned i = 0; i < c->search_cnt; i++)
		mem_free(c->search[i]);
	mem_free(c->search);
	mem_free(c->name);
	mem_free(c->kernel);
	mem_free(c->initrd);
	mem_free(c->cmdline);
	mem_free(c->console);
	mem_free(c->control);
	mem_free(c);
}
