/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <unistd.h>

#include "bus.h"
#include "conf.h"
#include "console.h"
#include "disks.h"
#include "err.h"
#include "mem.h"

/* The table as it was when it was asked for; the rest the controllers say. */
struct status_errand {
	struct errand errand;
	struct ctl_call *call;
	json_t *result;
	struct storvsp *vsp[CONF_CONTROLLERS];
	unsigned cnt;
	struct conf_disk disk[CONF_DISKS];
};

const char *report_state(enum vm_state state)
{
	switch (state) {
	case VM_RUNNING: return "running";
	case VM_PAUSED: return "paused";
	case VM_OFF: return "off";
	case VM_CRASHED: return "crashed";
	}
	return "unknown";
}

/* A path or name that is no UTF-8 is left out. */
static json_t *text(const char *s)
{
	json_t *j = s ? json_string(s) : NULL;
	return j ? j : json_null();
}

static json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static json_t *vmbus(const struct machine *m)
{
	struct bus_status st;
	char version[24];
	bus_status(m->bus, &st);
	snprintf(version, sizeof(version), "%u.%u", st.version >> 16,
		 st.version & 0xffff);
	return json_pack("{s:b, s:o, s:i}", "connected", st.version != 0,
			 "version", text(st.version ? version : NULL),
			 "channels", (int)st.open_cnt);
}

static json_t *machine(const struct machine *m)
{
	const struct conf *c = m->conf;
	return json_pack("{s:s, s:i, s:o, s:s, s:o, s:i, s:o, s:o, s:o, s:o}",
			 "program", "vmm " VHDKIT_VERSION,
			 "pid", (int)getpid(), "name", text(c->name),
			 "state", report_state(vm_state(m->vm)),
			 "memory", number(c->memory_len),
			 "cpus", (int)c->cpus,
			 "uptime", number((uint64_t)(time(NULL) - m->began)),
			 "kernel", text(c->kernel),
			 "console", text(m->console ? console_name(m->console) :
				    NULL),
			 "vmbus", vmbus(m));
}

static json_t *transfers(uint64_t cnt, uint64_t len)
{
	return json_pack("{s:o, s:o}", "requests", number(cnt), "bytes",
			 number(len));
}

static json_t *disk(const struct conf_disk *c, const struct storvsp_status *st)
{
	json_t *j = json_pack("{s:i, s:i, s:o, s:b, s:s, s:s}",
			      "controller", (int)c->controller,
			      "lun", (int)c->lun, "path", text(c->path),
			      "read_only", c->read_only,
			      "cache", c->direct ? "none" : "writeback",
			      "nospc", c->report_nospc ? "report" : "pause");
	json_t *more = json_pack("{s:o, s:o, s:o, s:b, s:i, s:o, s:o, s:o, "
				 "s:o, s:o}",
		"size", number(st->geometry.size_len),
		"sector_size", number(st->geometry.sector_len),
		"physical_sector_size",
		number(st->geometry.physical_sector_len),
		"waits_for_space", st->stats.paused,
		"in_flight", (int)st->stats.in_flight,
		"read", transfers(st->stats.read_cnt, st->stats.read_len),
		"write", transfers(st->stats.write_cnt, st->stats.write_len),
		"flushes", number(st->stats.flush_cnt),
		"discards", number(st->stats.discard_cnt),
		"errors", number(st->stats.error_cnt));
	if (j && more)
		(void)json_object_update(j, more);
	json_decref(more);
	return j;
}

static void work(struct errand *w)
{
	struct status_errand *j = container_of(w, struct status_errand, errand);
	json_t *list = json_array();
	for (unsigned i = 0; i < j->cnt; i++) {
		const struct conf_disk *c = &j->disk[i];
		struct storvsp_status st = { .there = false };
		storvsp_status(j->vsp[c->controller], c->lun, &st);
		if (st.there)
			(void)json_array_append_new(list, disk(c, &st));
	}
	(void)json_object_set_new(j->result, "disks", list);
}

static void forget(struct status_errand *j)
{
	for (unsigned i = 0; j && i < j->cnt; i++)
		conf_disk_clear(&j->disk[i]);
	mem_free(j);
}

static void done(struct errand *w)
{
	struct status_errand *j = container_of(w, struct status_errand, errand);
	ctl_result(j->call, j->result);
	forget(j);
}

void report_status(const struct machine *m, struct errands *errands,
		   struct ctl_call *call)
{
	struct status_errand *j = mem_zalloc(sizeof(*j));
	struct vhdx_err err;
	err_set(&err, VHDX_E_NOMEM, "out of memory");
	if (j) {
		j->errand = (struct errand){ .work = work, .done = done };
		j->call = call;
		j->result = machine(m);
		j->cnt = disks_list(m->disks, j->disk, CONF_DISKS);
		for (unsigned n = 0; n < CONF_CONTROLLERS; n++)
			j->vsp[n] = disks_vsp(m->disks, n);
		if (j->result && !errand_start(errands, &j->errand, &err))
			return;
		json_decref(j->result);
	}
	forget(j);
	ctl_error(call, &err);
}
