/* SPDX-License-Identifier: MIT */
/*
 * Options as a table: one entry gives the name, the place in the command's
 * argument struct, the value's kind and the help line. Sizes are 4096, 64K,
 * 2M, 1G, 64T: binary units, no others.
 */
#ifndef OPT_H
#define OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cmd;

enum opt_kind {
	OPT_KIND_END,
	OPT_FLAG,   /* bool */
	OPT_SIZE,   /* uint64_t, bytes */
	OPT_COUNT,  /* uint64_t, no unit */
	OPT_CHOICE, /* int, out of .choices */
	OPT_STRING, /* const char * */
	OPT_LIST,   /* struct opt_list: may be given several times */
};

#define OPT_LIST_MAX 64u

/* All zero: empty. */
struct opt_list {
	const char *v[OPT_LIST_MAX];
	unsigned cnt;
};

struct opt_choice {
	const char *name; /* NULL ends the list */
	int value;
};

struct opt {
	const char *name; /* without the dashes */
	enum opt_kind kind;
	size_t dst_off; /* in the argument struct, bytes */
	const char *arg; /* "SIZE"; NULL for a flag */
	const char *help;
	const struct opt_choice *choices;
};

#define OPT_END { NULL, OPT_KIND_END, 0, NULL, NULL, NULL }
#define OPT_NOT_GIVEN UINT64_MAX

/* opt_parse's way to say "carry on". */
#define OPT_GO (-1)

/* Fills args (the caller put the defaults there) and leaves the positional
 * arguments in *pos, *pos_cnt: min to max of them. Returns OPT_GO, or the exit
 * status after help was shown (0) or a mistake was reported (STATUS_USAGE). */
int opt_parse(const struct cmd *c, void *args, int argc, char **argv, int min,
	      int max, char ***pos, int *pos_cnt);

void opt_help(const struct opt *opts);

/* Whether text is a size; a message is up to the caller. */
bool opt_size(const char *text, uint64_t *len);

#define OPT_JSON(st, m)                                                       \
	{ "json", OPT_FLAG, offsetof(st, m), NULL, "for programs", NULL }

/* For every command that opens an image. */
#define OPT_SEARCH(st, m)                                                     \
	{ "search", OPT_LIST, offsetof(st, m), "DIR",                         \
	  "look for parents there too; may be repeated", NULL }

/* raw, vhd, vhdx; for --format, --to, --from */
extern const struct opt_choice opt_formats[];

#endif
