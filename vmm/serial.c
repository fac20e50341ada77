/* SPDX-License-Identifier: MIT */
#include "serial.h"

#include <string.h>

enum { /* registers; 0 and 1 are the divisor while LCR_DLAB is set */
	REG_DATA,
	REG_IER,
	REG_IIR, /* written: FCR */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCR,
};

enum {
	IER_RX = 0x01,
	IER_TX = 0x02,
	IER_LINE = 0x04,
	IER_ALL = 0x0f,

	IIR_NONE = 0x01,
	IIR_TX = 0x02,
	IIR_RX = 0x04,
	IIR_LINE = 0x06,
	IIR_RX_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0,

	FCR_ENABLE = 0x01,
	FCR_CLEAR_RX = 0x02,
	FCR_TRIGGER_SHIFT = 6,

	LCR_DLAB = 0x80,

	MCR_DTR = 0x01,
	MCR_RTS = 0x02,
	MCR_OUT1 = 0x04,
	MCR_OUT2 = 0x08, /* on a PC: lets the interrupt out */
	MCR_LOOP = 0x10,
	MCR_ALL = 0x1f,

	LSR_DATA = 0x01,
	LSR_OVERRUN = 0x02,
	LSR_TX_EMPTY = 0x60, /* holding register and shift register */

	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
};

void serial_reset(struct serial *s)
{
	s->ier = s->fcr = s->lcr = s->mcr = s->scr = 0;
	s->divisor[0] = 1; /* 115200 */
	s->divisor[1] = 0;
	s->overrun = s->thr_event = false;
	s->rx_at = s->rx_cnt = 0;
}

static bool tx_empty(const struct serial *s)
{
	return SERIAL_TX - s->tx_cnt >= SERIAL_FIFO;
}

static unsigned rx_trigger(const struct serial *s)
{
	static const uint8_t level[4] = { 1, 4, 8, 14 };

	return level[s->fcr >> FCR_TRIGGER_SHIFT];
}

/* The most urgent reason for an interrupt. */
static uint8_t reason(const struct serial *s)
{
	if (s->overrun && (s->ier & IER_LINE))
		return IIR_LINE;
	/* What does not fill the FIFO has always been there long enough: no
	 * more follows until the guest has taken it. */
	if (s->rx_cnt && (s->ier & IER_RX))
		return s->fcr && s->rx_cnt < rx_trigger(s) ? IIR_RX_TIMEOUT :
							     IIR_RX;
	if (s->thr_event && tx_empty(s) && (s->ier & IER_TX))
		return IIR_TX;
	return IIR_NONE;
}

bool serial_irq(const struct serial *s)
{
	return (s->mcr & MCR_OUT2) && !(s->mcr & MCR_LOOP) &&
	       reason(s) != IIR_NONE;
}

static unsigned rx_depth(const struct serial *s)
{
	return s->fcr & FCR_ENABLE ? SERIAL_FIFO : 1;
}

unsigned serial_rx_room(const struct serial *s)
{
	unsigned depth = rx_depth(s);

	if (!(s->ier & IER_RX) || (s->mcr & MCR_LOOP) || s->rx_cnt >= depth)
		return 0;
	return depth - s->rx_cnt;
}

static void receive(struct serial *s, uint8_t byte)
{
	if (s->rx_cnt >= rx_depth(s)) {
		s->overrun = true;
		return;
	}
	s->rx[(s->rx_at + s->rx_cnt++) % SERIAL_FIFO] = byte;
}

void serial_rx(struct serial *s, const uint8_t *buf, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		receive(s, buf[i]);
}

static uint8_t read_data(struct serial *s)
{
	uint8_t byte;

	if (!s->rx_cnt)
		return 0;
	byte = s->rx[s->rx_at];
	s->rx_at = (s->rx_at + 1) % SERIAL_FIFO;
	s->rx_cnt--;
	return byte;
}

static void write_data(struct serial *s, uint8_t byte)
{
	if (s->mcr & MCR_LOOP)
		receive(s, byte);
	else if (s->tx_cnt < SERIAL_TX)
		s->tx[(s->tx_at + s->tx_cnt++) % SERIAL_TX] = byte;
	s->thr_event = true;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t why = reason(s);

	if (why == IIR_TX)
		s->thr_event = false;
	return why | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *s)
{
	unsigned lsr = (s->rx_cnt ? LSR_DATA : 0u) |
		       (s->overrun ? LSR_OVERRUN : 0u) |
		       (tx_empty(s) ? LSR_TX_EMPTY : 0u);

	s->overrun = false;
	return (uint8_t)lsr;
}

/* In loopback the outputs are the inputs; else the other side is ready. */
static uint8_t read_msr(const struct serial *s)
{
	if (!(s->mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) |
			 (s->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (s->mcr & MCR_OUT1 ? MSR_RI : 0) |
			 (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

uint8_t serial_read(struct serial *s, unsigned reg)
{
	if (reg <= REG_IER && (s->lcr & LCR_DLAB))
		return s->divisor[reg];
	switch (reg) {
	case REG_DATA:
		return read_data(s);
	case REG_IER:
		return s->ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->lcr;
	case REG_MCR:
		return s->mcr;
	case REG_LSR:
		return read_lsr(s);
	case REG_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_ier(struct serial *s, uint8_t value)
{
	/* Asking to be told of an empty transmitter that is empty already
	 * tells at once. */
	if (!(s->ier & IER_TX) && (value & IER_TX) && tx_empty(s))
		s->thr_event = true;
	s->ier = value & IER_ALL;
}

static void write_fcr(struct serial *s, uint8_t value)
{
	if ((value & FCR_CLEAR_RX) || ((value ^ s->fcr) & FCR_ENABLE))
		s->rx_at = s->rx_cnt = 0;
	s->fcr = value & FCR_ENABLE ?
			 value & (FCR_ENABLE | 3u << FCR_TRIGGER_SHIFT) :
			 0;
}

void serial_write(struct serial *s, unsigned reg, uint8_t value)
{
	if (reg <= REG_IER && (s->lcr & LCR_DLAB)) {
		s->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case REG_DATA:
		write_data(s, value);
		break;
	case REG_IER:
		write_ier(s, value);
		break;
	case REG_IIR:
		write_fcr(s, value);
		break;
	case REG_LCR:
		s->lcr = value;
		break;
	case REG_MCR:
		s->mcr = value & MCR_ALL;
		break;
	case REG_SCR:
		s->scr = value;
		break;
	default: /* line and modem status are read only */
		break;
	}
}

unsigned serial_tx_take(struct serial *s, uint8_t *buf, unsigned max)
{
	unsigned n = s->tx_cnt < max ? s->tx_cnt : max;

	for (unsigned i = 0; i < n; i++)
		buf[i] = s->tx[(s->tx_at + i) % SERIAL_TX];
	s->tx_at = (s->tx_at + n) % SERIAL_TX;
	s->tx_cnt -= n;
	return n;
}
