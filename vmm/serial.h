/* SPDX-License-Identifier: MIT */
/*
 * A 16550A as registers and nothing else: bytes in, bytes out, is the interrupt
 * line up? No descriptors, no KVM, no locks: vm_serial.c joins it to those.
 *
 * A byte written is sent at once. What was sent waits in `tx` until it is
 * taken; while less than a FIFO is free there, the transmitter says it is busy,
 * and a guest that writes all the same loses bytes, as on a real line.
 */
#ifndef SERIAL_H
#define SERIAL_H

#include "base.h"

#define SERIAL_REGS 8u
#define SERIAL_FIFO 16u
#define SERIAL_TX 8192u

struct serial {
	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t divisor[2];
	bool overrun;
	bool thr_event; /* the transmitter became empty, and nobody asked yet */
	uint8_t rx[SERIAL_FIFO];
	unsigned rx_at, rx_cnt;
	uint8_t tx[SERIAL_TX];
	unsigned tx_at, tx_cnt;
};

void serial_reset(struct serial *s); /* tx stays */

/* reg < SERIAL_REGS. */
uint8_t serial_read(struct serial *s, unsigned reg);
void serial_write(struct serial *s, unsigned reg, uint8_t value);

/* The level of the interrupt line. */
bool serial_irq(const struct serial *s);

/* How many bytes the receiver takes now; none as long as the guest does not ask
 * to be told of them: its driver would throw them away when it starts. */
unsigned serial_rx_room(const struct serial *s);
void serial_rx(struct serial *s, const uint8_t *buf, unsigned len);

/* Moves out what was sent; returns the number of bytes. */
unsigned serial_tx_take(struct serial *s, uint8_t *buf, unsigned max);

#endif
