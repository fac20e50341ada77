/* SPDX-License-Identifier: MIT */
/*
 * Changing metadata items of an open, writable VHDX image: any number of them
 * at one instant, so that a power failure leaves all the old ones or all the
 * new ones. Knows nothing of what items mean.
 */
#ifndef VHDX_ITEMS_H
#define VHDX_ITEMS_H

#include "vhdx_img.h"

/* One item of the metadata region, to be set or (data NULL) removed. */
struct item_edit {
	struct guid id;
	bool user, virtual_disk, required; /* (id, user) names the item */
	const void *data;		   /* borrowed */
	uint32_t len;
};

/* Blocking; nothing is in flight. Durable on return; vi->layout and vi->img are
 * loaded anew. visible: the edits change what belongs to the virtual disk, so
 * DataWriteGuid changes first (W4). Items that are as asked for already are
 * left alone; if all are, not a byte of the file changes.
 *
 * An item keeps its place if its length stays; else it moves to free space of
 * the region. UNSUPPORTED, with nothing changed: the region or its table is
 * full; for an edit of more than half a MiB, the items it replaces count as
 * in use until it is done. */
int vhdx_edit_items(struct vhdx_image *vi, const struct item_edit *items,
		    unsigned cnt, bool visible, struct vhdx_err *e) must_check;

#endif
