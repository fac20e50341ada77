/* SPDX-License-Identifier: MIT */
/*
 * What to run: the command line of `vmm run`, or a JSON file with the same
 * keys, as one struct. Nothing is opened here; sizes and names are checked.
 */
#ifndef CONF_H
#define CONF_H

#include "base.h"
#include "vhdx.h"

#define CONF_DISKS 256u
#define CONF_CONTROLLERS 4u
#define CONF_CPUS 64u

struct conf_disk {
	char *path;
	unsigned controller, lun; /* chosen when the command line is silent */
	bool read_only;
	bool direct; /* cache=none: O_DIRECT */
	bool report_nospc; /* nospc=report; else pause */
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
};

/* argv[0] is "run". */
int conf_parse(int argc, char **argv, struct conf **out, struct vhdx_err *e)
	must_check;
/* One "--disk" value: PATH[,ro][,cache=none|writeback][,controller=N][,lun=N]
 * [,nospc=pause|report]; a comma in a path is written twice. */
int conf_disk_parse(const char *text, struct conf_disk *d, struct vhdx_err *e)
	must_check;
void conf_disk_clear(struct conf_disk *d);
void conf_free(struct conf *c);

#endif
