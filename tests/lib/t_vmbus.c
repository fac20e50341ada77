/* SPDX-License-Identifier: MIT */
#include "t_vmbus.h"

#include <stdarg.h>
#include <string.h>

#include "le.h"
#include "server_priv.h"

void t_bus_begin(struct t_bus *b)
{
	memset(b, 0, sizeof(*b));
	T_OK(vmbus_server_create(4, &b->s, &t_err));
	server_audit(b->s);
}

void t_bus_end(struct t_bus *b)
{
	server_audit(b->s);
	vmbus_server_destroy(b->s);
}

uint32_t t_bus_offer(struct t_bus *b, unsigned dev)
{
	struct vmbus_offer o = { .flags = 0x100, .dev = T_DEV(dev) };
	uint32_t relid;

	memset(o.if_type, 0xa0, sizeof(o.if_type));
	memset(o.instance, (int)dev, sizeof(o.instance));
	memset(o.user_def, 0xd0, sizeof(o.user_def));
	T_OK(vmbus_server_offer(b->s, &o, &relid, &t_err));
	server_audit(b->s);
	return relid;
}

/* ---- in words ----------------------------------------------------------- */

static void printf_like(2, 3) say(struct t_bus *b, const char *fmt, ...)
{
	size_t at = strlen(b->said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(b->said + at, sizeof(b->said) - at, fmt, ap);
	va_end(ap);
}

static const char *ok(uint32_t status)
{
	return status ? "no" : "ok";
}

static void say_version(struct t_bus *b, const uint8_t *p)
{
	if (p[8])
		say(b, "version %u.%u %u", b->version >> 16,
		    b->version & 0xffff, get_le32(p + 12));
	else
		say(b, "version no %u", get_le32(p + 12));
}

static void say_msg(struct t_bus *b, const uint8_t *p, uint32_t len)
{
	uint32_t n[3] = { 0 };

	for (unsigned i = 0; i < 3 && 12 + 4 * i <= len; i++)
		n[i] = get_le32(p + 8 + 4 * i);
	switch (get_le32(p)) {
	case 1:
		say(b, "offer %u/%u", get_le32(p + 184), get_le16(p + 180));
		break;
	case 2:
		say(b, "rescind %u", n[0]);
		break;
	case 4:
		say(b, "offers done");
		break;
	case 6:
		say(b, "result %u %u %s", n[0], n[1], ok(n[2]));
		break;
	case 10:
		say(b, "created %u %u %s", n[0], n[1], ok(n[2]));
		break;
	case 12:
		say(b, "torn %u", n[0]);
		break;
	case 15:
		say_version(b, p);
		break;
	case 17:
		say(b, "unloaded");
		break;
	case 23:
		say(b, "tl refused");
		break;
	case 24:
		say(b, "modified %u %s", n[0], ok(n[1]));
		break;
	default:
		say(b, "type %u?", get_le32(p));
	}
}

static void say_action(struct t_bus *b, const struct vmbus_action *a)
{
	switch (a->kind) {
	case VMBUS_SEND:
		T_TRUE(a->msg_len <= sizeof(b->msg));
		memcpy(b->msg, a->msg, a->msg_len);
		b->msg_len = a->msg_len;
		if (a->vp || a->sint != 2)
			say(b, "@%u.%u ", a->vp, a->sint);
		say_msg(b, a->msg, a->msg_len);
		break;
	case VMBUS_OPEN:
		b->conn_id = a->conn_id;
		T_TRUE(a->pfn_cnt <= ARRAY_LEN(b->pfn));
		memcpy(b->pfn, a->pfn, a->pfn_cnt * sizeof(b->pfn[0]));
		say(b, "OPEN %u/%u @%u %u+%u", a->relid, a->sub_index, a->vp,
		    a->to_host_cnt, a->pfn_cnt - a->to_host_cnt);
		break;
	case VMBUS_CLOSE:
		say(b, "CLOSE %u", a->relid);
		break;
	case VMBUS_RETARGET:
		say(b, "RETARGET %u @%u", a->relid, a->vp);
		break;
	case VMBUS_GONE:
		say(b, "GONE %u", (unsigned)(uintptr_t)a->dev);
		break;
	case VMBUS_TELL:
		snprintf(b->told, sizeof(b->told), "%s", a->text);
		say(b, "TELL");
		break;
	}
	if (a->dev)
		b->dev = a->dev;
}

const char *t_bus_said(struct t_bus *b)
{
	struct vmbus_action a;

	b->said[0] = '\0';
	while (vmbus_server_next(b->s, &a)) {
		if (b->said[0])
			say(b, "; ");
		say_action(b, &a);
		server_audit(b->s);
	}
	T_TRUE(vmbus_server_ready(b->s));
	return b->said;
}

/* ---- steps -------------------------------------------------------------- */

void t_bus_msg(struct t_bus *b, struct guest_msg m)
{
	if (get_le32(m.p) == GUEST_CONTACT)
		b->version = get_le32(m.p + 8);
	vmbus_server_message(b->s, VMBUS_CONN_NEW, m.p, m.len);
	server_audit(b->s);
}

void t_bus_opened(struct t_bus *b, uint32_t relid, bool good)
{
	vmbus_server_opened(b->s, relid, good);
	server_audit(b->s);
}

void t_bus_closed(struct t_bus *b, uint32_t relid)
{
	vmbus_server_closed(b->s, relid);
	server_audit(b->s);
}

void t_bus_subs(struct t_bus *b, unsigned dev, unsigned cnt)
{
	vmbus_server_offer_subs(b->s, T_DEV(dev), cnt);
	server_audit(b->s);
}

void t_bus_rescind(struct t_bus *b, unsigned dev)
{
	vmbus_server_rescind(b->s, T_DEV(dev));
	server_audit(b->s);
}

void t_bus_reset(struct t_bus *b)
{
	vmbus_server_reset(b->s);
	server_audit(b->s);
}

void t_bus_offered(struct t_bus *b)
{
	t_bus_begin(b);
	T_EQ_U64(t_bus_offer(b, 1), 1);
	T_MSG(b, guest_contact(V5_3, 0), "version 5.3 4");
	T_MSG(b, guest_bare(GUEST_REQUEST_OFFERS), "offer 1/0; offers done");
}

void t_bus_ringed(struct t_bus *b)
{
	t_bus_offered(b);
	T_MSG(b, guest_gpadl(1, 100, 4, 0x1000), "created 1 100 ok");
}

void t_bus_open(struct t_bus *b)
{
	t_bus_ringed(b);
	T_MSG(b, guest_open(1, 7, 100, 2, 0), "OPEN 1/0 @0 2+2");
	t_bus_opened(b, 1, true);
	T_SAYS(b, "result 1 7 ok");
}

void t_bus_open_more(struct t_bus *b, uint32_t relid, uint32_t id)
{
	t_bus_msg(b, guest_gpadl(relid, id, 4, id * 0x100));
	(void)t_bus_said(b);
	t_bus_msg(b, guest_open(relid, relid, id, 2, 1));
	(void)t_bus_said(b);
	t_bus_opened(b, relid, true);
	T_TRUE(strstr(t_bus_said(b), " ok") != NULL);
}
