/* SPDX-License-Identifier: MIT */
/*
 * libvhdx - several images at once: who is whose parent, merging, checking.
 *
 * A family is known by identity: a child names the id of its parent, and a
 * parent is what has that id (VHDX: the DataWriteGuid, VHD: the unique id). The
 * names that a child records only help to choose among copies of one parent,
 * and to tell a parent that was moved from one that was changed.
 */
#ifndef VHDX_CHAIN_H
#define VHDX_CHAIN_H

#include "vhdx.h"
#include "vhdx_edit.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- finding a family ------------------------------------------------ */

#define VHDX_NO_IMAGE SIZE_MAX
#define VHDX_FOUND_PATHS 8

/* One image of a scan. Indexes are those of the forest. */
struct vhdx_found {
	const char *path;	/* "FOLDER/NAME", as the folder was given */
	/* 0, or why the image cannot be opened; then *err says it in words.
	 * BUSY: somebody has it open for writing. */
	int code;
	const struct vhdx_err *err; /* NULL if code is 0 */
	/* The rest is known: always with code 0, and mostly with BUSY, when it
	 * was read beside the one who writes: that is good for telling whose
	 * child it is, not for its sizes. */
	bool known;
	bool outside; /* in none of the folders: a child's path led to it */
	struct vhdx_info info;
	uint8_t identity[16]; /* what its children name */
	/* A child. Either id is its parent's; two: a merge is, or was, under
	 * way. The paths are as recorded, in the file's own form. */
	unsigned linkage_cnt;	/* 0: no child */
	uint8_t linkage[2][16];
	unsigned path_cnt;
	const char *paths[VHDX_FOUND_PATHS];
	/* Its parent, if that is in the forest; of several copies the one that
	 * a recorded path leads to, else the first. */
	size_t parent;
	unsigned linkage_used;	/* which of the two ids that is */
	bool by_path;		/* a recorded path leads to it */
	/* An image that a recorded path leads to, but that has another id, or
	 * cannot be opened: the parent was changed or damaged, or another disk
	 * has its name. */
	size_t stranger;
	/* The first image with this identity; its own index if that is the only
	 * one or the first. */
	size_t copy_of;
	unsigned copy_cnt; /* images with this identity, itself included */
	bool circle; /* following the parents leads back to it */
};

/* What work that was cut off has left beside the images. */
enum vhdx_leftover_kind {
	VHDX_LEFT_UNFINISHED, /* a new image that never got its name */
	VHDX_LEFT_MERGE, /* NAME.merge: the merge of NAME is not finished */
};

struct vhdx_leftover {
	enum vhdx_leftover_kind kind;
	const char *path;
	bool busy; /* UNFINISHED: somebody is still at it */
};

struct vhdx_forest {
	size_t cnt;
	const struct vhdx_found *images; /* by folder, then by name */
	size_t leftover_cnt;
	const struct vhdx_leftover *leftovers; /* of the folders */
};

/* Zero-initialise. */
struct vhdx_scan_opts {
	const char *const *folders;
	unsigned folder_cnt;
	const char *const *files; /* whatever they are called */
	unsigned file_cnt;
	bool recursive; /* subfolders too; symbolic links are not followed */
	bool parents;   /* also what the children's paths lead to elsewhere */
};

/* Finds the images in the folders: what is called .vhd, .vhdx, .avhd or .avhdx
 * (any case), and whatever else begins or ends as one; then opens each alone,
 * read-only, one at a time, and changes nothing. One file under several names
 * counts once. Raw disks are nobody's parent and left out, unless their name
 * says something else: then that is a damaged image.
 * Fails only if a folder that was given cannot be read, or memory runs out:
 * what else cannot be opened, or is not there, is in the forest with its code,
 * and so is a subfolder that cannot be read. */
int vhdx_scan(const struct vhdx_scan_opts *opts, struct vhdx_forest **out,
	      struct vhdx_err *e);
void vhdx_forest_free(struct vhdx_forest *f); /* NULL allowed */

/* The index of the file that path leads to; VHDX_NO_IMAGE: not in there. */
size_t vhdx_forest_find(const struct vhdx_forest *f, const char *path);

enum vhdx_kin {
	VHDX_KIN_NONE,
	VHDX_KIN_CHILD,	  /* names the other's identity */
	VHDX_KIN_BROKEN,  /* its path leads to the other, its id does not: what
			     it was a child of is gone, or elsewhere */
	VHDX_KIN_UNKNOWN, /* cannot be opened, so it cannot be told */
};

/* What image `child` is to image `of`. A child of several copies is a child of
 * each, as it opens on any of them. */
enum vhdx_kin vhdx_forest_kin(const struct vhdx_forest *f, size_t child,
			      size_t of);

/* ---- merging --------------------------------------------------------- */

enum vhdx_merge_role {
	VHDX_MERGE_LAYER,      /* its content goes into the target */
	VHDX_MERGE_TARGET,     /* takes it */
	VHDX_MERGE_GRANDCHILD, /* a child of the merged child: is re-linked */
	VHDX_MERGE_SIBLING,    /* another child of the target or of a layer in
				  between: is broken by the merge */
	VHDX_MERGE_UNKNOWN,    /* cannot be opened, so it may be one */
};

/* One file that the merge has to do with. */
struct vhdx_merge_file {
	enum vhdx_merge_role role;
	const char *path;
	uint64_t data_len; /* LAYER: what the target takes from it, bytes */
	uint64_t zero_len; /* LAYER: the same of what reads as zeros there */
	bool goes;	   /* LAYER: is removed at the end */
	const struct vhdx_err *err; /* UNKNOWN: why; else NULL */
};

struct vhdx_merge_opts {
	const char *into; /* an ancestor's file; NULL: by depth */
	unsigned depth;	  /* 1, or 0: the child's parent; 2: its parent ... */
	bool keep;    /* no file goes; the child stays, on the target */
	bool force;   /* although other children are broken by it */
	bool dry_run; /* only say what would be done */
	/* The files among which children are looked for; NULL: all images in
	 * the folders of the merged files. */
	const char *const *children;
	unsigned children_cnt;
	const char *const *search; /* folders to look for parents in */
	unsigned search_cnt;
	/* Every file that the merge has to do with, before it changes any. */
	void (*file)(void *arg, const struct vhdx_merge_file *f);
	void *file_arg;
	vhdx_msg_fn *msg;
	void *msg_arg;
	struct vhdx_progress progress;
};

struct vhdx_merge_result {
	bool resumed;	    /* it goes on with a merge that was cut off */
	uint64_t data_len;  /* to be copied, bytes */
	uint64_t zero_len;  /* to be made zeros */
	uint64_t need_len;  /* space that the target's host has to give */
	uint64_t alloc_len; /* blocks that the target allocates */
	uint64_t free_len;  /* on that host; UINT64_MAX: it does not tell */
	unsigned removed_cnt, relinked_cnt;
};

/* Copies what `child` and the layers below it hold into the ancestor, re-links
 * the child's children to that, and removes the merged files, the child last.
 * Nothing is changed before everything is known: NOSPC with the shortfall,
 * LINKAGE where other children would be broken (not with force; those of a VHD
 * even then, as they could not notice), BUSY, UNSUPPORTED.
 * Where a merge of this child was cut off, by an error, CANCELED, the death of
 * the process or of the machine, it is finished, and depth and into are only
 * compared; until then the child opens as ever. NOTFOUND: no such file, and no
 * merge of it to finish. result may be NULL. */
int vhdx_merge(const char *child, const struct vhdx_merge_opts *opts,
	       struct vhdx_merge_result *result, struct vhdx_err *e);

/* ---- checking a chain -------------------------------------------------- */

struct vhdx_chain_check_result {
	unsigned layer_cnt; /* examined */
	/* Why the chain ends before its base; code 0: it does not. Told as a
	 * finding too, and counted. */
	struct vhdx_err broken;
	uint64_t errors, warnings; /* of all layers: what is, or stays, wrong */
	uint64_t repaired;
};

/* Zero-initialise. path is valid during the calls. */
struct vhdx_chain_check_opts {
	unsigned flags; /* VHDX_CHECK_* */
	const char *const *search; /* folders to look for parents in */
	unsigned search_cnt;
	/* Either may be NULL. What a layer says of its parent is found in the
	 * layer. `layer` ends the findings of one. */
	void (*finding)(void *arg, unsigned depth, const char *path,
			const struct vhdx_finding *f);
	void (*layer)(void *arg, unsigned depth, const char *path,
		      const struct vhdx_check_result *r);
	void *arg;
};

/* vhdx_check() of an image and of all it stands on, each in full, leaf first,
 * and of what holds them together: identities, recorded paths, sectors, sizes.
 * With REPAIR a path that does not lead to the parent any more is mended where
 * the parent was found otherwise and proved by its identity. Returns a code
 * only when the image itself could not be examined. result may be NULL. */
int vhdx_check_chain(const char *path, const struct vhdx_chain_check_opts *opts,
		     struct vhdx_chain_check_result *result,
		     struct vhdx_err *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
