/* SPDX-License-Identifier: MIT */
/*
 * The parts of a running VM, as main.c puts them together and as orders see
 * them. Nothing here owns anything but main.c.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <time.h>

#include "base.h"

struct machine {
	const struct conf *conf;
	struct disks *disks;
	struct evloop *loop;
	struct vm *vm;
	struct bus *bus;
	struct hyperv *hyperv;
	struct console *console; /* NULL: none */
	struct orders *orders;
	struct ctl *ctl; /* NULL: none */
	time_t began;
};

#endif
