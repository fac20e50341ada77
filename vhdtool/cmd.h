/* SPDX-License-Identifier: MIT */
/*
 * A command of vhdtool: its entry is its documentation. The help text, the
 * option parser and the usage line are all made from the one struct, so they
 * cannot disagree.
 */
#ifndef CMD_H
#define CMD_H

#include "msg.h"
#include "opt.h"

struct cmd {
	const char *name;      /* as typed: "info", "log show" */
	const char *synopsis;  /* what follows the name */
	const char *brief;     /* one line, no full stop */
	const char *notes;     /* further help, or NULL; ends with \n */
	const struct opt *opts; /* ends with OPT_END; NULL: none */
	const struct cmd *const *subs; /* ends with NULL; then exec is NULL */
	/* argv[0] is the verb. Returns the exit status. */
	int (*exec)(const struct cmd *c, int argc, char **argv);
};

extern const struct cmd cmd_bench, cmd_check, cmd_compact, cmd_compare;
extern const struct cmd cmd_convert, cmd_create, cmd_discard, cmd_doctor;
extern const struct cmd cmd_info, cmd_log, cmd_map, cmd_merge, cmd_read;
extern const struct cmd cmd_repair, cmd_resize, cmd_set, cmd_set_parent;
extern const struct cmd cmd_write;

/* Runs argv[0] out of the table: the whole name or a prefix that only one
 * entry has. `within`: what was typed before it ("vhdtool"). */
int cmd_run(const struct cmd *const *table, const char *within, int argc,
	    char **argv);

/* The last word of c->name: what is matched. */
const char *cmd_verb(const struct cmd *c);

void cmd_help(const struct cmd *c);	     /* to stdout */
void cmd_list(const struct cmd *const *table); /* names and briefs, stdout */

#endif
