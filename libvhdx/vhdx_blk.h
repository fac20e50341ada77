/* SPDX-License-Identifier: MIT */
/*
 * vhdx_blk - one asynchronous block device, whatever stands behind it.
 *
 * Threads. A device belongs to the thread that opened it: every function here
 * but vhdx_blk_post() is called from that thread, and every completion runs on
 * it, from inside vhdx_blk_turn(), vhdx_blk_run(), vhdx_blk_drain() or
 * vhdx_blk_close().
 *
 * Requests. The struct and everything it points at belong to the caller and
 * stay untouched by him from submit until done() is called. done() is called
 * exactly once, never from inside vhdx_blk_submit(); it may submit again, free
 * the request, but not close the device. Any number may be submitted: a device
 * works at some hundreds at a time, the others wait their turn, first come,
 * first served. Nothing is allocated for a request.
 *
 * Durability. A completed write is seen by every later read. It survives a
 * power failure once a FLUSH submitted after its completion has completed
 * with result 0 (or if it carried VHDX_REQ_FUA). After a crash an unflushed
 * write is, sector by sector (geometry.sector_len), there or not there; no
 * other sector ever changes. When the journal or a flush fails the device is
 * FAILED for good: writes and flushes return VHDX_E_FAILED, reads go on.
 *
 * Overlap. Overlapping requests in flight at once are allowed; where two
 * changes conflict, either order may win, sector by sector. A read beside a
 * change of what it reads may find a sector half changed, as in a plain file.
 */
#ifndef VHDX_BLK_H
#define VHDX_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct vhdx_blk;
struct vhdx_err;

enum vhdx_op {
	VHDX_OP_READ,	      /* iov <- disk */
	VHDX_OP_WRITE,	      /* disk <- iov */
	VHDX_OP_FLUSH,	      /* voff and len are ignored */
	VHDX_OP_DISCARD,      /* content no longer needed: reads as zeros or,
				 where a partial block is kept, as before */
	VHDX_OP_WRITE_ZEROES, /* reads as zeros, never as the parent's data */
	VHDX_OP_MAP,	      /* fills *extent with the extent at voff */
	VHDX_OP_COPY,	      /* disk <- another device's data: *copy */
};

#define VHDX_REQ_FUA 1u /* what changes the disk: durable when done */
#define VHDX_REQ_ONTO_ZEROS 2u /* copy: the range reads as zeros, and what is
				  zeros in the source need not be written */
#define VHDX_REQ_UNLESS_ZEROS 4u /* copy: nothing happens, and data_len stays
				    0, if the source has nothing but zeros */

enum vhdx_extent_kind {
	VHDX_EXTENT_DATA,     /* host_off is valid */
	VHDX_EXTENT_ZERO,     /* reads as zeros, says the image */
	VHDX_EXTENT_UNMAPPED, /* discarded or never written: reads as zeros */
	VHDX_EXTENT_PARENT,   /* the parent's, which is not open
				 (VHDX_OPEN_ALONE, _PARTIAL): cannot be read */
};

struct vhdx_extent {
	enum vhdx_extent_kind kind;
	uint64_t voff;	       /* bytes in the virtual disk */
	uint64_t len;	       /* bytes, > 0 */
	uint64_t host_off;     /* bytes in host_path's file; DATA only */
	const char *host_path; /* borrowed from the device; DATA only */
	unsigned depth;	       /* layer: 0 is the leaf, 1 its parent, ... */
};

/* A part of an extent of `from`, which is open read-only and of the same
 * thread: [host_off, +len) in the file of layer `depth`, as MAP told. The data
 * goes from file to file without passing through the caller; where the host
 * file system can, the files share it. UNSUPPORTED, and nothing is changed,
 * where that is no way: read and write. */
struct vhdx_copy {
	struct vhdx_blk *from;
	unsigned depth;
	uint64_t host_off;
	uint64_t data_len; /* filled: bytes that were written or shared */
	bool from_failed;  /* filled: an error is the source's */
};

struct vhdx_req {
	enum vhdx_op op;
	unsigned flags;		  /* VHDX_REQ_* */
	uint64_t voff;		  /* bytes, multiple of sector_len */
	uint64_t len;		  /* bytes, multiple of sector_len */
	const struct iovec *iov;  /* READ, WRITE: sum of lengths >= len */
	int iov_cnt;
	struct vhdx_extent *extent; /* MAP */
	struct vhdx_copy *copy;	  /* COPY; stays the caller's */
	struct vhdx_err *err;	  /* NULL, or filled when result != 0 */
	void (*done)(struct vhdx_req *req);
	void *opaque;		  /* the caller's */
	int result;		  /* 0 or VHDX_E_*, set before done() */
	uint64_t priv[384];	  /* the library's, from submit to done */
};

struct vhdx_geometry {
	uint64_t size_len;	    /* bytes */
	uint32_t sector_len;	    /* logical sector: 512 or 4096 */
	uint32_t physical_sector_len;
	uint32_t block_len;	    /* allocation unit; 0: raw, fixed VHD */
	bool read_only;
	bool can_discard;
};

void vhdx_blk_geometry(const struct vhdx_blk *blk, struct vhdx_geometry *g);

/* Never blocks. Requests out of range, misaligned or against a read-only
 * device complete with VHDX_E_RANGE or VHDX_E_READONLY. */
void vhdx_blk_submit(struct vhdx_blk *blk, struct vhdx_req *req);

/* [any thread] The same from a thread that does not own the device; done() runs
 * on the owner's thread, which is woken (vhdx_blk_turn(), vhdx_blk_fd()). The
 * device must stay open until done() has run. What one thread posts arrives in
 * its order. */
void vhdx_blk_post(struct vhdx_blk *blk, struct vhdx_req *req);

/* Gives up a request that is submitted and not done. done() runs all the same,
 * once and later: with VHDX_E_CANCELED when something of it was left undone -
 * then any part of it may have been done, sector by sector - else with its real
 * result. What the host has begun is waited for, never abandoned: the buffers
 * are the caller's again when done() runs, not before. A flush that has begun
 * is not given up. */
void vhdx_blk_cancel(struct vhdx_blk *blk, struct vhdx_req *req);

/* Submit and turn until it is done; returns req->result. req->done may be
 * NULL. Blocking; other requests' completions run meanwhile. */
int vhdx_blk_run(struct vhdx_blk *blk, struct vhdx_req *req);

/* The usual one-buffer calls on top of vhdx_blk_run(). Blocking. */
int vhdx_blk_read(struct vhdx_blk *blk, uint64_t voff, void *buf, uint64_t len,
		  struct vhdx_err *e);
int vhdx_blk_write(struct vhdx_blk *blk, uint64_t voff, const void *buf,
		   uint64_t len, struct vhdx_err *e);
int vhdx_blk_flush(struct vhdx_blk *blk, struct vhdx_err *e);
int vhdx_blk_discard(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
		     struct vhdx_err *e);
int vhdx_blk_write_zeroes(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
			  struct vhdx_err *e);

/* The extent that starts at voff, joined with its neighbours of the same kind
 * as far as voff + len. Blocking. */
int vhdx_blk_map(struct vhdx_blk *blk, uint64_t voff, uint64_t len,
		 struct vhdx_extent *out, struct vhdx_err *e);

/* Runs what is ready, completions included; waits up to timeout_ms (0: not at
 * all, -1: until something happens) if nothing is. Returns the number of
 * events handled. */
int vhdx_blk_turn(struct vhdx_blk *blk, int timeout_ms);

/* Readable when vhdx_blk_turn() has work: for the caller's own poll loop. */
int vhdx_blk_fd(const struct vhdx_blk *blk);

/* Turns until no request is in flight, those included that have been posted.
 * Blocking. */
void vhdx_blk_drain(struct vhdx_blk *blk);

/* Drains, flushes, empties the log, gives spare space at the end of the file
 * back, marks the file clean and frees blk, whatever the result. 0 means that
 * everything written is durable. After an error the file is still consistent:
 * the next open replays the log. NULL is allowed. Blocking. */
int vhdx_blk_close(struct vhdx_blk *blk, struct vhdx_err *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
