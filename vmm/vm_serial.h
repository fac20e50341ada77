/* SPDX-License-Identifier: MIT */
/*
 * COM1: the serial model (serial.h) at its ports, on its interrupt line, and
 * between two descriptors. vCPU threads turn the registers; descriptors are the
 * bus thread's. What the guest writes is passed on a few milliseconds later, in
 * one go: writing byte by byte costs a boot more time than anything else here.
 */
#ifndef VM_SERIAL_H
#define VM_SERIAL_H

#include <pthread.h>

#include "base.h"
#include "evloop.h"
#include "serial.h"

struct io;
struct kvm_coalesced_mmio_ring;

#define VM_SERIAL_PORT 0x3f8u
#define VM_SERIAL_GSI 4u

struct vm_serial {
	int vm_fd;
	struct evloop *loop;
	pthread_mutex_t lock; /* the next five, and the ring's reading end */
	struct serial model;
	bool irq_level;
	bool timer_on;
	bool hurry;	 /* ... and it rings at once */
	bool wants_room; /* input waits for the guest to read */
	struct kvm_coalesced_mmio_ring *ring; /* or NULL */
	unsigned ring_len;		      /* entries */
	int timer_fd;
	struct ev timer, in, out;
	bool in_on, out_on; /* in the loop */
	bool in_polls;	    /* can be: not a file, not /dev/null */
	uint8_t buf[4096];  /* taken from the model, not written yet */
	unsigned buf_at, buf_cnt;
};

int vm_serial_create(struct vm_serial *s, int vm_fd, struct evloop *loop,
		     struct io *io, struct vhdx_err *e) must_check;
void vm_serial_destroy(struct vm_serial *s); /* also of zeroes */

/*
 * KVM may collect what the guest writes to the data register, until it reads a
 * register or writes another: `page` is where it collects, page_len bytes. Not
 * supported: all is as before.
 */
void vm_serial_collect(struct vm_serial *s, void *page, size_t page_len);

/* As vm_console(). */
int vm_serial_console(struct vm_serial *s, int in_fd, int out_fd,
		      struct vhdx_err *e) must_check;
void vm_serial_reset(struct vm_serial *s);
/* What the guest wrote last is written out, for a second at most. */
void vm_serial_finish(struct vm_serial *s);

#endif
