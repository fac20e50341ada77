/* SPDX-License-Identifier: MIT */
/*
 * What to run: the command line of `vmm run`, or a JSON file with the same
 * keys, as one struct. No disk is opened here; sizes and names are checked.
 */
#ifndef CONF_H
#define CONF_H

#include "base.h"
#include "vhdx.h"

#define CONF_DISKS 256u
#define CONF_CONTROLLERS 4u
#define CONF_LUNS 64u
#define CONF_CPUS 64u
#define CONF_ANY UINT32_MAX /* a controller or LUN that is not chosen yet */

struct conf_disk {
	char *path;
	unsigned controller, lun; /* chosen when the command line is silent */
	bool read_only;
	bool direct; /* cache=none: O_DIRECT */
	bool report_nospc; /* nospc=report; else pause */
	bool force; /* write although it has children */
};

struct conf {
	char *name;
	uint64_t memory_len; /* bytes, multiple of 1 MiB */
	unsigned cpus;
	char *kernel, *initrd, *cmdline; /* initrd, cmdline: NULL allowed */
	char *console; /* "stdio", "pty", "unix:PATH"; NULL: none */
	char *control; /* path of the control socket; NULL: none */
	struct conf_disk disk[CONF_DISKS];
	unsigned disk_cnt;
	char **search; /* folders to look for parents in */
	unsigned search_cnt;
	bool dry_run;
	bool help; /* asked for, nothing else is to be looked at */
};

/* argv[0] is "run". INVAL: a wrong command line or file. */
int conf_parse(int argc, char **argv, struct conf **out, struct vhdx_err *e)
	must_check;
/* One "--disk" value: PATH[,ro][,cache=none|writeback][,controller=N][,lun=N]
 * [,nospc=pause|report][,force]; a comma in a path is written twice. What is
 * not said of controller and lun is CONF_ANY. */
int conf_disk_parse(const char *text, struct conf_disk *d, struct vhdx_err *e)
	must_check;
void conf_disk_clear(struct conf_disk *d);
void conf_free(struct conf *c); /* NULL allowed */

/* A copy of text in *dst; what was there is freed. NOMEM. */
int conf_string(char **dst, const char *text, struct vhdx_err *e) must_check;

/* 4096, 64K, 512M, 1G, 2T; false if it is none. */
bool conf_size(const char *text, uint64_t *len) must_check;

#endif
