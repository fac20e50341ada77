/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "opt.h"
#include "vhdx.h"

#define OPT_MAX 24

const struct opt_choice opt_formats[] = {
	{ "raw", VHDX_FORMAT_RAW },
	{ "vhd", VHDX_FORMAT_VHD },
	{ "vhdx", VHDX_FORMAT_VHDX },
	{ NULL, 0 },
};

static bool parse_number(const char *text, uint64_t *value, const char **end)
{
	if (!isdigit((unsigned char)text[0]))
		return false;
	char *rest;
	errno = 0;
	/* Base 10 or 0x: a leading zero must not mean octal. */
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long v = strtoull(text, &rest, hex ? 16 : 10);
	if (errno || (hex && rest == text + 1))
		return false;
	*value = v;
	*end = rest;
	return true;
}

bool opt_size(const char *text, uint64_t *len)
{
	static const char units[] = "KMGTP";
	const char *end;
	uint64_t v;
	if (!parse_number(text, &v, &end))
		return false;
	unsigned shift = 0;
	if (*end) {
		const char *u = strchr(units, toupper((unsigned char)*end));
		if (!u)
			return false;
		shift = 10 * (unsigned)(u - units + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (*end || v > UINT64_MAX >> shift)
		return false;
	*len = v << shift;
	return true;
}

static bool store_choice(const struct opt *o, int *dst, const char *text)
{
	for (const struct opt_choice *c = o->choices; c->name; c++) {
		if (strcmp(c->name, text) == 0) {
			*dst = c->value;
			return true;
		}
	}
	char names[128] = "";
	for (const struct opt_choice *c = o->choices; c->name; c++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s",
			 used ? ", " : "", c->name);
	}
	say_usage("--%s '%s': it can be one of: %s", o->name, text, names);
	return false;
}

static bool store_list(const struct opt *o, struct opt_list *dst,
		       const char *text)
{
	if (dst->cnt == OPT_LIST_MAX) {
		say_usage("--%s: given more than %u times", o->name,
			  OPT_LIST_MAX);
		return false;
	}
	dst->v[dst->cnt++] = text;
	return true;
}

static bool store(const struct opt *o, void *args, const char *text)
{
	void *dst = (char *)args + o->dst_off;
	const char *end;
	uint64_t v;
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)dst = true;
		return true;
	case OPT_SIZE:
		if (!opt_size(text, &v)) {
			say_usage("--%s '%s': a size is 4096, 64K, 2M, 1G or "
				  "64T", o->name, text);
			return false;
		}
		*(uint64_t *)dst = v;
		return true;
	case OPT_COUNT:
		if (!parse_number(text, &v, &end) || *end) {
			say_usage("--%s '%s': a whole number is wanted",
				  o->name, text);
			return false;
		}
		*(uint64_t *)dst = v;
		return true;
	case OPT_CHOICE:
		return store_choice(o, dst, text);
	case OPT_STRING:
		*(const char **)dst = text;
		return true;
	case OPT_LIST:
		return store_list(o, dst, text);
	case OPT_KIND_END:
		break;
	}
	return false;
}

/* getopt's table: the command's options, then --help. */
static int build(const struct opt *opts, struct option *out)
{
	int cnt = 0;
	for (const struct opt *o = opts; o && o->name; o++, cnt++) {
		if (cnt == OPT_MAX)
			abort();
		out[cnt] = (struct option){
			.name = o->name,
			.has_arg = o->kind == OPT_FLAG ? no_argument
						       : required_argument,
			.val = 256 + cnt,
		};
	}
	out[cnt] = (struct option){ .name = "help", .val = 'h' };
	out[cnt + 1] = (struct option){ .name = NULL };
	return cnt;
}

static int reject(const struct cmd *c, int what, char **argv)
{
	const char *word = argv[optind - 1];
	if (what == ':')
		return say_usage("%s: the option needs a value; see: vhdtool "
				 "%s --help", word, c->name);
	if (strncmp(word, "--", 2) == 0)
		return say_usage("unknown or ambiguous option %s; see: vhdtool "
				 "%s --help", word, c->name);
	return say_usage("unknown option -%c; see: vhdtool %s --help", optopt,
			 c->name);
}

int opt_parse(const struct cmd *c, void *args, int argc, char **argv, int min,
	      int max, char ***pos, int *pos_cnt)
{
	struct option table[OPT_MAX + 2];
	build(c->opts, table);
	optind = 0;
	opterr = 0;
	int what;
	while ((what = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
		if (what == 'h') {
			cmd_help(c);
			return STATUS_OK;
		}
		if (what < 256)
			return reject(c, what, argv);
		if (!store(&c->opts[what - 256], args, optarg))
			return STATUS_USAGE;
	}
	*pos = argv + optind;
	*pos_cnt = argc - optind;
	if (*pos_cnt < min || *pos_cnt > max)
		return say_usage("usage: vhdtool %s %s", c->name, c->synopsis);
	return OPT_GO;
}

void opt_help(const struct opt *opts)
{
	for (const struct opt *o = opts; o->name; o++) {
		char head[64];
		snprintf(head, sizeof(head), "--%s%s%s", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		printf("  %-26s %s\n", head, o->help);
	}
}
