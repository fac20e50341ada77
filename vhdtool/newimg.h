/* SPDX-License-Identifier: MIT */
/*
 * The options that describe an image to be made, as create and convert share
 * them, and telling the user about it. int: an exit status, after a message.
 */
#ifndef NEWIMG_H
#define NEWIMG_H

#include "opt.h"
#include "vhdx.h"

/* All zero: nothing given. */
struct newimg_args {
	int format; /* enum vhdx_format */
	int type;   /* 1 + enum vhdx_type; 0: not given */
	uint64_t block_len;
	uint64_t sector_len;
	uint64_t physical_sector_len;
	bool force;
};

extern const struct opt_choice newimg_types[];

/* types: the choices that the command has, and types_help their line. */
#define NEWIMG_OPTIONS(st, m, format_name, types, types_help)                 \
	{ format_name, OPT_CHOICE, offsetof(st, m.format), "FORMAT",          \
	  "vhdx, vhd or raw; else by the file's name", opt_formats },         \
	{ "type", OPT_CHOICE, offsetof(st, m.type), "TYPE",                   \
	  types_help, types },                                                \
	{ "block-size", OPT_SIZE, offsetof(st, m.block_len), "SIZE",          \
	  "unit of allocation: 1M to 256M for vhdx", NULL },                  \
	{ "sector-size", OPT_SIZE, offsetof(st, m.sector_len), "SIZE",        \
	  "logical sector: 512 or 4096", NULL },                              \
	{ "physical-sector-size", OPT_SIZE,                                   \
	  offsetof(st, m.physical_sector_len), "SIZE",                        \
	  "physical sector: 512 or 4096", NULL },                             \
	{ "force", OPT_FLAG, offsetof(st, m.force), NULL,                     \
	  "replace an existing file", NULL }

/* All but the size. The format stays PROBE when neither the arguments nor the
 * name tell it. */
int newimg_opts(const char *path, const struct newimg_args *a,
		struct vhdx_create_opts *opts);

/* Completes opts and says what they need; refuses what cannot be made there. */
int newimg_plan(const char *path, struct vhdx_create_opts *opts,
		uint64_t *file_len, uint64_t *host_len);

/* "verb FILE: dynamic vhdx, 10 GiB, blocks of 32 MiB, sectors 512/4096" */
void newimg_print(const char *path, const struct vhdx_create_opts *opts,
		  const char *verb);
void newimg_print_need(uint64_t file_len, uint64_t host_len);

#endif
