/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"

const char *cmd_verb(const struct cmd *c)
{
	const char *space = strrchr(c->name, ' ');
	return space ? space + 1 : c->name;
}

void cmd_list(const struct cmd *const *table)
{
	for (; *table; table++)
		printf("  %-10s %s\n", cmd_verb(*table), (*table)->brief);
}

void cmd_help(const struct cmd *c)
{
	printf("Usage: vhdtool %s %s\n\n%c%s.\n", c->name, c->synopsis,
	       toupper((unsigned char)c->brief[0]), c->brief + 1);
	if (c->subs) {
		printf("\nCommands:\n");
		cmd_list(c->subs);
	}
	printf("\nOptions:\n");
	if (c->opts)
		opt_help(c->opts);
	printf("  %-26s %s\n", "--help", "show this text");
	if (c->notes)
		printf("\n%s", c->notes);
}

static void list_candidates(const struct cmd *const *table, const char *verb,
			    char *buf, size_t len)
{
	size_t used = 0;
	buf[0] = '\0';
	for (; *table; table++) {
		const char *name = cmd_verb(*table);
		if (strncmp(name, verb, strlen(verb)) != 0)
			continue;
		int n = snprintf(buf + used, len - used, "%s%s",
				 used ? ", " : "", name);
		if (n < 0 || (size_t)n >= len - used)
			return;
		used += (size_t)n;
	}
}

/* NULL after a message when no entry, or more than one, fits. */
static const struct cmd *find(const struct cmd *const *table,
			      const char *within, const char *verb)
{
	const struct cmd *found = NULL;
	int cnt = 0;
	for (const struct cmd *const *c = table; *c; c++) {
		const char *name = cmd_verb(*c);
		if (strcmp(name, verb) == 0)
			return *c;
		if (strncmp(name, verb, strlen(verb)) == 0) {
			found = *c;
			cnt++;
		}
	}
	if (cnt == 1)
		return found;
	if (cnt == 0) {
		say_usage("there is no command '%s %s'; see: %s --help",
			  within, verb, within);
		return NULL;
	}
	char names[256];
	list_candidates(table, verb, names, sizeof(names));
	say_usage("'%s' could be any of: %s", verb, names);
	return NULL;
}

int cmd_run(const struct cmd *const *table, const char *within, int argc,
	    char **argv)
{
	const struct cmd *c = find(table, within, argv[0]);
	if (!c)
		return STATUS_USAGE;
	if (!c->subs)
		return c->exec(c, argc, argv);
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 ||
			 strcmp(argv[1], "-h") == 0)) {
		cmd_help(c);
		return STATUS_OK;
	}
	char path[64];
	snprintf(path, sizeof(path), "vhdtool %s", c->name);
	if (argc < 2)
		return say_usage("a command must follow; see: %s --help", path);
	return cmd_run(c->subs, path, argc - 1, argv + 1);
}
