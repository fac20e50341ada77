/* SPDX-License-Identifier: MIT */
#include "orders.h"

#include <string.h>

#include "conf_keys.h"
#include "disks.h"
#include "err.h"
#include "errand.h"
#include "mem.h"
#include "report.h"
#include "say.h"
#include "vm.h"

struct orders {
	struct machine *m;
	struct errands *errands;
	bool turns; /* a pause or resume is under way */
};

static json_t *state_of(const struct machine *m)
{
	return json_pack("{s:s}", "state", report_state(vm_state(m->vm)));
}

/* ---- the VM ------------------------------------------------------------- */

static void refuse(struct ctl_call *call, const char *text)
{
	struct vhdx_err err;
	err_set(&err, VHDX_E_FAILED, "%s", text);
	ctl_error(call, &err);
}

/* Pause: first the guest stops, then the disks become quiet, so that their
 * images do not change any more when it is answered. Resume: the reverse. One
 * of them at a time, or a guest could run beside disks that do not. */
struct turn {
	struct errand errand;
	struct orders *o;
	struct ctl_call *call;
	bool pause;
	struct storvsp *vsp[CONF_CONTROLLERS];
};

static void turn_work(struct errand *w)
{
	struct turn *t = container_of(w, struct turn, errand);
	for (unsigned n = 0; n < CONF_CONTROLLERS; n++) {
		if (t->vsp[n] && t->pause)
			storvsp_pause(t->vsp[n]);
		else if (t->vsp[n])
			storvsp_continue(t->vsp[n]);
	}
}

static void turn_done(struct errand *w)
{
	struct turn *t = container_of(w, struct turn, errand);
	struct vm *vm = t->o->m->vm;
	if (!t->pause && vm_state(vm) == VM_PAUSED)
		vm_resume(vm);
	t->o->turns = false;
	ctl_result(t->call, state_of(t->o->m));
	mem_free(t);
}

static int start_turn(struct orders *o, bool pause, struct ctl_call *call,
		      struct vhdx_err *e)
{
	struct turn *t = mem_zalloc(sizeof(*t));
	if (!t)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	t->errand.work = turn_work;
	t->errand.done = turn_done;
	t->o = o;
	t->call = call;
	t->pause = pause;
	for (unsigned n = 0; n < CONF_CONTROLLERS; n++)
		t->vsp[n] = disks_vsp(o->m->disks, n);
	int rc = errand_start(o->errands, &t->errand, e);
	if (rc)
		mem_free(t);
	return rc;
}

static void turn_to(struct orders *o, bool pause, struct ctl_call *call)
{
	struct vm *vm = o->m->vm;
	struct vhdx_err err;
	enum vm_state state = vm_state(vm);
	int rc = 0;
	if (o->turns)
		rc = err_set(&err, VHDX_E_BUSY, "another pause or resume is "
			     "under way");
	else if (state != VM_RUNNING && state != VM_PAUSED)
		rc = err_set(&err, VHDX_E_FAILED, "the guest does not run");
	bool was_running = state == VM_RUNNING;
	if (!rc && pause && was_running)
		vm_pause(vm);
	if (!rc && (pause || !was_running)) {
		rc = start_turn(o, pause, call, &err);
		o->turns = !rc;
		if (rc && pause && was_running)
			vm_resume(vm);
	} else if (!rc) {
		ctl_result(call, state_of(o->m)); /* it runs */
	}
	if (rc)
		ctl_error(call, &err);
}

static void do_pause(struct orders *o, const json_t *req, struct ctl_call *call)
{
	(void)req;
	turn_to(o, true, call);
}

static void do_resume(struct orders *o, const json_t *req,
		      struct ctl_call *call)
{
	(void)req;
	turn_to(o, false, call);
}

static void do_power_off(struct orders *o, const json_t *req,
			 struct ctl_call *call)
{
	(void)req;
	if (vm_state(o->m->vm) != VM_RUNNING) {
		refuse(call, "the guest does not run, so it cannot be asked to "
		       "power off; see: quit");
		return;
	}
	vm_press_power(o->m->vm);
	ctl_result(call, state_of(o->m));
}

static void do_reset(struct orders *o, const json_t *req, struct ctl_call *call)
{
	(void)req;
	vm_reset(o->m->vm);
	ctl_result(call, state_of(o->m));
}

static void do_quit(struct orders *o, const json_t *req, struct ctl_call *call)
{
	(void)req;
	ctl_result(call, state_of(o->m));
	vm_quit(o->m->vm);
}

/* ---- disks -------------------------------------------------------------- */

struct disk_errand {
	struct errand errand;
	struct orders *o;
	struct ctl_call *call;
	struct disk *d; /* taken; NULL: none is needed */
	unsigned lun;
	struct storvsp *vsp;
	struct disk_resize resize;
	int rc;
	struct vhdx_err err;
};

static void add_work(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	j->rc = disks_attach(j->vsp, j->d, &j->err);
}

static void remove_work(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	j->rc = storvsp_remove(j->vsp, j->lun, &j->err);
}

static void resize_work(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	j->rc = storvsp_reopen(j->vsp, j->lun, disk_resize, &j->resize,
			       &j->err);
}

/* Answers; `there`: the disk is one of the VM's from now on. */
static void end_errand(struct disk_errand *j, bool there)
{
	json_t *place = json_pack("{s:i, s:i}",
				  "controller", (int)j->d->conf.controller,
				  "lun", (int)j->d->conf.lun);
	disks_give(j->o->m->disks, j->d, there);
	if (j->rc) {
		json_decref(place);
		ctl_error(j->call, &j->err);
	} else {
		ctl_result(j->call, place);
	}
	mem_free(j);
}

static void add_done(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	end_errand(j, j->rc == 0);
}

/* Where removing failed to flush or close, the disk is gone all the same: it is
 * told here, too, since who asked may have hung up. */
static void remove_done(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	if (j->rc)
		say_err(j->d->conf.path, &j->err);
	end_errand(j, false);
}

static void resize_done(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	end_errand(j, true);
}

/* Takes d back if it cannot be begun. */
static void begin(struct orders *o, struct ctl_call *call, struct disk *d,
		  bool is_new, const struct disk_errand *model)
{
	struct disk_errand *j = mem_zalloc(sizeof(*j));
	struct vhdx_err err;
	int rc = VHDX_E_NOMEM;
	if (j) {
		*j = *model;
		j->o = o;
		j->call = call;
		j->d = d;
		j->lun = d->conf.lun;
		j->vsp = disks_vsp(o->m->disks, d->conf.controller);
		j->resize.d = d;
		rc = errand_start(o->errands, &j->errand, &err);
	} else {
		err_set(&err, rc, "out of memory");
	}
	if (!rc)
		return;
	mem_free(j);
	disks_give(o->m->disks, d, !is_new);
	ctl_error(call, &err);
}

static void do_add(struct orders *o, const json_t *req, struct ctl_call *call)
{
	static const struct disk_errand model = {
		.errand = { .work = add_work, .done = add_done },
	};
	struct conf_disk conf;
	struct vhdx_err err;
	struct disk *d;
	const json_t *what = json_object_get(req, "disk");
	int rc = conf_disk_json(what, NULL, &conf, &err);
	if (!rc && conf.path[0] != '/') {
		rc = err_set(&err, VHDX_E_INVAL, "disk %s: an absolute path is "
			     "wanted", conf.path);
		conf_disk_clear(&conf);
	}
	if (!rc)
		rc = disks_take_new(o->m->disks, &conf, &d, &err);
	if (rc)
		ctl_error(call, &err);
	else
		begin(o, call, d, true, &model);
}

static int number_of(const json_t *req, const char *key, unsigned end,
		     unsigned other, unsigned *out, struct vhdx_err *e)
{
	const json_t *v = json_object_get(req, key);
	json_int_t n = json_integer_value(v);
	*out = other;
	if (!v && other != CONF_ANY)
		return 0;
	if (!json_is_integer(v) || n < 0 || n >= (json_int_t)end)
		return err_set(e, VHDX_E_INVAL, "\"%s\" is a number from 0 to "
			       "%u", key, end - 1);
	*out = (unsigned)n;
	return 0;
}

/* Which disk is meant: "path", or "lun" and perhaps "controller". */
static int where(const json_t *req, struct disk_place *w, struct vhdx_err *e)
{
	const json_t *path = json_object_get(req, "path");
	*w = (struct disk_place){ .path = json_string_value(path) };
	if (w->path)
		return 0;
	if (path) /* not the LUN that stands beside it */
		return err_set(e, VHDX_E_INVAL, "\"path\" is a string");
	int rc = number_of(req, "lun", CONF_LUNS, CONF_ANY, &w->lun, e);
	return rc ? rc : number_of(req, "controller", CONF_CONTROLLERS, 0,
				   &w->controller, e);
}

static int take(struct orders *o, const json_t *req, struct disk **d,
		struct vhdx_err *e)
{
	struct disk_place w;
	int rc = where(req, &w, e);
	return rc ? rc : disks_take(o->m->disks, &w, d, e);
}

static void do_remove(struct orders *o, const json_t *req,
		      struct ctl_call *call)
{
	static const struct disk_errand model = {
		.errand = { .work = remove_work, .done = remove_done },
	};
	struct vhdx_err err;
	struct disk *d;
	if (take(o, req, &d, &err))
		ctl_error(call, &err);
	else
		begin(o, call, d, false, &model);
}

static void do_resize(struct orders *o, const json_t *req,
		      struct ctl_call *call)
{
	const json_t *size = json_object_get(req, "size");
	struct disk_errand model = {
		.errand = { .work = resize_work, .done = resize_done },
		.resize = {
			.size_len = (uint64_t)json_integer_value(size),
			.shrink = json_is_true(json_object_get(req, "shrink")),
		},
	};
	struct vhdx_err err;
	struct disk *d;
	int rc = 0;
	if (json_integer_value(size) <= 0)
		rc = err_set(&err, VHDX_E_INVAL, "\"size\" is a number of "
			     "bytes");
	if (!rc)
		rc = take(o, req, &d, &err);
	if (!rc && d->conf.read_only) {
		rc = err_set(&err, VHDX_E_READONLY, "%s: is read-only",
			     d->conf.path);
		disks_give(o->m->disks, d, true);
	}
	if (rc)
		ctl_error(call, &err);
	else
		begin(o, call, d, false, &model);
}

static void wake_work(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	storvsp_resume(j->vsp, j->lun);
}

static void wake_done(struct errand *w)
{
	struct disk_errand *j = container_of(w, struct disk_errand, errand);
	ctl_result(j->call, json_object());
	mem_free(j);
}

/* Whatever else is being done to the disk: that may be what waits for space.
 * If it goes meanwhile, there is nothing to wake. */
static void do_resume_disk(struct orders *o, const json_t *req,
			   struct ctl_call *call)
{
	struct disk_errand *j = mem_zalloc(sizeof(*j));
	struct vhdx_err err;
	struct disk_place w;
	int rc = j ? where(req, &w, &err) :
		 err_set(&err, VHDX_E_NOMEM, "out of memory");
	if (!rc)
		rc = disks_find(o->m->disks, &w, &err);
	if (!rc) {
		j->errand.work = wake_work;
		j->errand.done = wake_done;
		j->call = call;
		j->vsp = disks_vsp(o->m->disks, w.controller);
		j->lun = w.lun;
		rc = errand_start(o->errands, &j->errand, &err);
	}
	if (rc) {
		mem_free(j);
		ctl_error(call, &err);
	}
}

static void do_status(struct orders *o, const json_t *req,
		      struct ctl_call *call)
{
	(void)req;
	report_status(o->m, o->errands, call);
}

/* ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(struct orders *o, const json_t *req, struct ctl_call *call);
} commands[] = {
	{ "status", do_status },
	{ "pause", do_pause },
	{ "resume", do_resume },
	{ "power-off", do_power_off },
	{ "reset", do_reset },
	{ "add-disk", do_add },
	{ "remove-disk", do_remove },
	{ "resize-disk", do_resize },
	{ "resume-disk", do_resume_disk },
	{ "quit", do_quit },
};

void orders_run(void *arg, const json_t *request, struct ctl_call *call)
{
	struct orders *o = arg;
	struct vhdx_err err;
	const char *name = json_string_value(json_object_get(request,
							     "command"));
	if (vm_state(o->m->vm) == VM_OFF) { /* sent behind what ended it */
		refuse(call, "the VM is ending");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(o, request, call);
			return;
		}
	err_set(&err, VHDX_E_UNSUPPORTED, "no such command; there are: status, "
		"pause, resume, power-off, reset, add-disk, remove-disk, "
		"resize-disk, resume-disk, quit");
	ctl_error(call, &err);
}

int orders_create(struct machine *m, struct orders **out, struct vhdx_err *e)
{
	struct orders *o = mem_zalloc(sizeof(*o));
	*out = NULL;
	if (!o)
		return err_set(e, VHDX_E_NOMEM, "out of memory");
	o->m = m;
	int rc = errands_create(m->loop, &o->errands, e);
	if (rc) {
		mem_free(o);
		return rc;
	}
	*out = o;
	return 0;
}

void orders_destroy(struct orders *o)
{
	if (!o)
		return;
	errands_destroy(o->errands);
	mem_free(o);
}
