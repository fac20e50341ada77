/* SPDX-License-Identifier: MIT */
/*
 * Ports, and who answers there. As on the ISA bus everything is a sequence of
 * bytes; where nobody is, reads give all ones and writes are lost.
 *
 * The table is made before vCPUs run and does not change; devices lock
 * themselves.
 */
#ifndef IO_H
#define IO_H

#include "base.h"

#define IO_DEVS 8u

struct io_dev {
	uint16_t first, cnt; /* ports */
	uint8_t (*read)(void *arg, unsigned off); /* [vCPU threads] */
	void (*write)(void *arg, unsigned off, uint8_t value);
	void *arg;
	bool narrow; /* hears single bytes only; wider ones pass by */
};

struct io {
	struct io_dev dev[IO_DEVS];
	unsigned cnt;
};

void io_add(struct io *io, const struct io_dev *dev);

/* cnt accesses of `size` bytes to one port; data is what is written, or becomes
 * what is read. */
void io_access(const struct io *io, unsigned port, bool write, uint8_t *data,
	       unsigned size, unsigned cnt);

#endif
