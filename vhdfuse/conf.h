/* SPDX-License-Identifier: MIT */
/*
 * What the command line, or the line of /etc/fstab, asks for. -o takes every
 * long option too (-o overlay=FILE), so that fstab can say all there is.
 */
#ifndef CONF_H
#define CONF_H

#include <sys/types.h>

#include "vhdx.h"

#define CONF_SEARCH_MAX 64u

/* Strings are borrowed from argv, or live as long as the process. */
struct conf {
	const char *image, *mountpoint; /* as given */
	const char *search[CONF_SEARCH_MAX];
	unsigned search_cnt;
	const char *overlay;
	const char *pid_file;
	const char *control; /* NULL: the default place; "none": none */
	enum vhdx_format format;
	bool direct;	 /* --cache none */
	bool file;	 /* over a regular file */
	bool read_only;	 /* asked for */
	bool read_write; /* asked for: no falling back */
	bool force;
	bool foreground;
	bool allow_other;
	uid_t uid;
	gid_t gid;
	bool gid_given;
	char *fuse_opts; /* for the kernel, ",a,b=c" */
};

/* What conf_parse returns to say "carry on". */
#define CONF_GO (-1)

/* CONF_GO, or the exit status after help was shown or a mistake reported. */
int conf_parse(struct conf *c, int argc, char **argv);

#endif
