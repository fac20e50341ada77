/* SPDX-License-Identifier: MIT */
#include "disks.h"

#include <limits.h>
#include <string.h>

#include "bus.h"
#include "err.h"
#include "instance.h"
#include "mem.h"
#include "say.h"

/* What Hyper-V says of a controller; Windows guests want it. */
#define OFFER_ENUMERATE 1u

struct slot {
	struct disk *d; /* NULL: free */
	bool taken;
};

struct controller {
	struct storvsp *vsp; /* NULL: not there */
	struct vmbus_dev *dev; /* NULL: not offered */
	struct slot slot[CONF_LUNS];
};

struct disks {
	const struct conf *conf;
	struct bus *bus; /* NULL: nothing is offered yet */
	struct controller controller[CONF_CONTROLLERS];
};

/* ---- controllers -------------------------------------------------------- */

static int offer(struct disks *s, unsigned n, struct vhdx_err *e)
{
	struct controller *k = &s->controller[n];
	struct vmbus_offer o = { .flags = OFFER_ENUMERATE };
	if (!s->bus || !k->vsp || k->dev)
		return 0;
	memcpy(o.if_type, storvsp_if_type, sizeof(o.if_type));
	instance_id(s->conf->name, n, o.instance);
	return bus_offer(s->bus, &o, &storvsp_ops, k->vsp, &k->dev, e);
}

static int add_controller(struct disks *s, unsigned n, struct vhdx_err *e)
{
	struct storvsp_conf conf = {
		.max_subs = s->conf->cpus - 1,
		.tell = say_tell,
	};
	int rc = 0;
	if (!s->controller[n].vsp)
		rc = storvsp_create(&conf, &s->controller[n].vsp, e);
	return rc ? rc : offer(s, n, e);
}

int disks_offer(struct disks *s, struct bus *bus, struct vhdx_err *e)
{
	int rc = 0;
	s->bus = bus;
	for (unsigned n = 0; n < CONF_CONTROLLERS && !rc; n++)
		rc = offer(s, n, e);
	return rc;
}

struct storvsp *disks_vsp(const struct disks *s, unsigned controller)
{
	return s->controller[controller].vsp;
}

/* ---- the table ---------------------------------------------------------- */

static struct slot *slot_at(struct disks *s, unsigned controller, unsigned lun)
{
	if (controller >= CONF_CONTROLLERS || lun >= CONF_LUNS)
		return NULL;
	return &s->controller[controller].slot[lun];
}

static const struct disk *disk_at(const struct disks *s,
				  const struct disk_place *p)
{
	if (!p->path)
		return p->controller < CONF_CONTROLLERS && p->lun < CONF_LUNS ?
		       s->controller[p->controller].slot[p->lun].d : NULL;
	for (unsigned n = 0; n < CONF_CONTROLLERS; n++)
		for (unsigned lun = 0; lun < CONF_LUNS; lun++) {
			const struct disk *d = s->controller[n].slot[lun].d;
			if (d && strcmp(d->conf.path, p->path) == 0)
				return d;
		}
	return NULL;
}

int disks_find(const struct disks *s, struct disk_place *p, struct vhdx_err *e)
{
	const struct disk *d = disk_at(s, p);
	if (!d && p->path)
		return err_set(e, VHDX_E_NOTFOUND, "%s: is no disk of this VM",
			       p->path);
	if (!d)
		return err_set(e, VHDX_E_NOTFOUND, "controller %u, LUN %u: no "
			       "disk is there", p->controller, p->lun);
	p->controller = d->conf.controller;
	p->lun = d->conf.lun;
	return 0;
}

/* The first controller, if none was chosen; there, the first free LUN. */
static struct slot *choose(struct disks *s, struct conf_disk *c)
{
	if (c->controller == CONF_ANY)
		c->controller = 0;
	for (unsigned lun = 0; c->lun == CONF_ANY && lun < CONF_LUNS; lun++)
		if (!slot_at(s, c->controller, lun)->d)
			c->lun = lun;
	return slot_at(s, c->controller, c->lun);
}

int disks_take_new(struct disks *s, struct conf_disk *conf, struct disk **out,
		   struct vhdx_err *e)
{
	*out = NULL;
	struct slot *t = choose(s, conf);
	int rc = 0;
	if (!t)
		rc = err_set(e, VHDX_E_EXISTS, "%s: all %u LUNs of controller "
			     "%u are taken", conf->path, CONF_LUNS,
			     conf->controller);
	else if (t->d)
		rc = err_set(e, VHDX_E_EXISTS, "%s: controller %u, LUN %u is "
			     "taken by %s", conf->path, conf->controller,
			     conf->lun, t->d->conf.path);
	else
		rc = add_controller(s, conf->controller, e);
	if (rc) {
		conf_disk_clear(conf);
		return rc;
	}
	rc = disk_create(conf, s->conf, out, e);
	if (rc)
		return rc;
	*t = (struct slot){ .d = *out, .taken = true };
	return 0;
}

int disks_take(struct disks *s, const struct disk_place *p, struct disk **out,
	       struct vhdx_err *e)
{
	struct disk_place at = *p;
	*out = NULL;
	int rc = disks_find(s, &at, e);
	if (rc)
		return rc;
	struct slot *t = slot_at(s, at.controller, at.lun);
	if (t->taken)
		return err_set(e, VHDX_E_BUSY, "%s: another order for this "
			       "disk is under way", t->d->conf.path);
	t->taken = true;
	*out = t->d;
	return 0;
}

void disks_give(struct disks *s, struct disk *d, bool there)
{
	struct slot *t = slot_at(s, d->conf.controller, d->conf.lun);
	t->taken = false;
	if (!there) {
		disk_destroy(d);
		t->d = NULL;
	}
}

unsigned disks_list(const struct disks *s, struct conf_disk *out, unsigned max)
{
	unsigned cnt = 0;
	for (unsigned n = 0; n < CONF_CONTROLLERS; n++)
		for (unsigned lun = 0; lun < CONF_LUNS && cnt < max; lun++) {
			const struct disk *d = s->controller[n].slot[lun].d;
			if (!d)
				continue;
			out[cnt] = d->conf;
			out[cnt].path = mem_strdup(d->conf.path);
			if (out[cnt].path)
				cnt++;
		}
	return cnt;
}

int disks_attach(struct storvsp *v, struct disk *d, struct vhdx_err *e)
{
	struct storvsp_disk sd = {
		.lun = d->conf.lun,
		.open = disk_open,
		.arg = d,
		.read_only = d->conf.read_only,
		.nospc = d->conf.report_nospc ? SCSI_NOSPC_REPORT :
						SCSI_NOSPC_PAUSE,
	};
	int rc = disk_check(d, e);
	return rc ? rc : storvsp_add(v, &sd, e);
}

/* ---- all of them -------------------------------------------------------- */

static int add_first(struct disks *s, const struct conf_disk *conf,
		     struct vhdx_err *e)
{
	struct conf_disk own = *conf;
	struct disk *d;
	own.path = NULL;
	int rc = conf_string(&own.path, conf->path, e);
	if (!rc)
		rc = disks_take_new(s, &own, &d, e);
	if (rc)
		return rc;
	rc = disks_attach(disks_vsp(s, d->conf.controller), d, e);
	disks_give(s, d, !rc);
	return rc;
}

int disks_create(const struct conf *conf, struct disks **out,
		 struct vhdx_err *e)
{
	struct disks *s = mem_zalloc(sizeof(*s));
	*out = NULL;
	if (!s)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	s->conf = conf;
	int rc = add_controller(s, 0, e);
	for (unsigned i = 0; i < conf->disk_cnt && !rc; i++)
		rc = add_first(s, &conf->disk[i], e);
	if (rc) {
		struct vhdx_err second;
		if (disks_destroy(s, &second))
			say_err(NULL, &second);
		return rc;
	}
	*out = s;
	return 0;
}

int disks_destroy(struct disks *s, struct vhdx_err *e)
{
	int rc = 0;
	for (unsigned n = 0; s && n < CONF_CONTROLLERS; n++) {
		struct controller *k = &s->controller[n];
		struct vhdx_err err;
		if (k->vsp && storvsp_destroy(k->vsp, &err)) {
			if (rc)
				say_err(NULL, &err);
			else
				rc = err_copy(e, &err, err.code);
		}
		for (unsigned lun = 0; lun < CONF_LUNS; lun++)
			disk_destroy(k->slot[lun].d);
	}
	mem_free(s);
	return rc;
}
