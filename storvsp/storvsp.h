/* SPDX-License-Identifier: MIT */
/*
 * The storage VSP: one SCSI controller for a guest's hv_storvsc. It has one
 * thread, which owns its channels and its disks, so a request goes from the
 * ring to the disk and back without changing threads and without a lock.
 * Every request of the guest is completed exactly once, whatever happens.
 *
 * Talks up through vmbus/chan.h, down through vhdx_blk.h.
 */
#ifndef STORVSP_H
#define STORVSP_H

#include "chan.h"
#include "scsi.h"

#define STORVSP_LUNS 64u

extern const uint8_t storvsp_if_type[16]; /* of its offer */
extern const struct vsp_ops storvsp_ops;  /* vsp: struct storvsp * */

struct storvsp;

struct storvsp_conf {
	unsigned max_subs; /* subchannels the guest may ask for: vCPUs - 1 */
	/* [controller's thread] Something to tell the user: a disk waits for
	 * space, or goes on. (A broken channel: chan_up.failed.) Or NULL. */
	void (*tell)(void *arg, const char *text);
	void *arg;
};

struct storvsp_disk {
	unsigned lun;
	/* [controller's thread] Opens the disk there; it is closed there too.
	 * Called again for a resize or a reopen. */
	int (*open)(void *arg, struct vhdx_blk **out, uint8_t id[16],
		    struct vhdx_err *e);
	void *arg;
	bool read_only;
	enum scsi_nospc nospc;
};

/* Starts the thread. */
int storvsp_create(const struct storvsp_conf *conf, struct storvsp **out,
		   struct vhdx_err *e) must_check;

/* Everything below: [any thread but the controller's], blocking until done. */

/* EXISTS: the LUN is taken. INVAL: no such LUN. A connected guest is told to
 * look. *d is copied. */
int storvsp_add(struct storvsp *v, const struct storvsp_disk *d,
		struct vhdx_err *e) must_check;
/* Requests in flight are finished (those that wait for space given up), later
 * ones are answered "no such unit", the disk is flushed and closed: gone even
 * if that fails. NOTFOUND; BUSY: it is being reopened. */
int storvsp_remove(struct storvsp *v, unsigned lun, struct vhdx_err *e)
	must_check;
/* Requests wait while the disk is flushed and closed, `change` is called (here,
 * on the caller's thread; NULL: nothing to do), and the disk is opened again,
 * whatever change returned; the guest is told of a new size. For a resize, a
 * new leaf. NOTFOUND, BUSY as above. If the flush fails nothing else is done.
 * If it cannot be opened its requests wait on: reopen again, or remove. Else
 * the result is that of change. */
int storvsp_reopen(struct storvsp *v, unsigned lun,
		   int (*change)(void *arg, struct vhdx_err *e), void *arg,
		   struct vhdx_err *e) must_check;
/* Tries again what waits for space. */
void storvsp_resume(struct storvsp *v, unsigned lun);
/* No request is taken from the rings between these; those in flight are
 * finished when pause returns, but for those that wait for space, or for a disk
 * that could not be reopened. For a paused VM. Orders are taken as ever. */
void storvsp_pause(struct storvsp *v);
void storvsp_continue(struct storvsp *v);

struct storvsp_status {
	bool there;
	struct vhdx_geometry geometry;
	struct scsi_stats stats;
};
void storvsp_status(struct storvsp *v, unsigned lun, struct storvsp_status *st);

/* Its channels are closed already. Flushes and closes the disks; the first
 * error, if any. Frees v. */
int storvsp_destroy(struct storvsp *v, struct vhdx_err *e);

#endif
