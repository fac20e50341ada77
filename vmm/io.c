/* SPDX-License-Identifier: MIT */
#include "io.h"

void io_add(struct io *io, const struct io_dev *dev)
{
	ASSERT(io->cnt < IO_DEVS);
	io->dev[io->cnt++] = *dev;
}

static const struct io_dev *find(const struct io *io, unsigned port)
{
	for (unsigned i = 0; i < io->cnt; i++) {
		const struct io_dev *d = &io->dev[i];

		if (port >= d->first && port - d->first < d->cnt)
			return d;
	}
	return NULL;
}

static void access_byte(const struct io *io, unsigned port, bool write,
			uint8_t *data, unsigned size)
{
	const struct io_dev *d = find(io, port);

	if (d && d->narrow && size != 1)
		d = NULL;
	if (write && d)
		d->write(d->arg, port - d->first, *data);
	else if (!write)
		*data = d ? d->read(d->arg, port - d->first) : 0xff;
}

void io_access(const struct io *io, unsigned port, bool write, uint8_t *data,
	       unsigned size, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		for (unsigned at = 0; at < size; at++)
			access_byte(io, port + at, write, data++, size);
}
