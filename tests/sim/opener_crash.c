/* SPDX-License-Identifier: MIT */
/*
 * Files are inodes, each a crash disk; a name is what the changes of names,
 * taken in order, have made of it. So "now" is all of them, and a state after a
 * power failure is those that are durable and some of those that were begun.
 */
#include "opener_crash.h"

#include <errno.h>
#include <string.h>

#include "crash_record.h"
#include "mem.h"
#include "sim_path.h"
#include "t.h"

struct inode {
	struct crash_disk *disk;
	unsigned readers, writers;
};

struct change { /* of a name */
	char path[OPENER_CRASH_PATH];
	struct inode *to; /* NULL: the name goes */
	uint64_t begun;
	uint64_t durable; /* CRASH_NEVER: not yet */
};

struct crash_names {
	struct inode *inodes[4 * OPENER_CRASH_MAX];
	unsigned inode_cnt;
	struct change *changes;
	size_t cnt, room;
	unsigned open_cnt;
};

/* A handle: passes on, and gives its lock back at the close. */
struct handle {
	struct file_wrap w; /* of a file_fault over the disk */
	struct opener_crash *o;
	struct inode *inode;
	bool locks;
};

static struct opener_crash *of(const struct opener *o)
{
	return container_of(o, struct opener_crash, opener);
}

/* ---- trees --------------------------------------------------------------- */

struct memimg *crash_tree_find(struct crash_tree *t, const char *path)
{
	for (unsigned i = 0; i < t->cnt; i++)
		if (strcmp(t->files[i].path, path) == 0)
			return &t->files[i].img;
	return NULL;
}

struct memimg *crash_tree_add(struct crash_tree *t, const char *path)
{
	struct crash_tree_file *f = &t->files[t->cnt++];

	ASSERT(t->cnt <= OPENER_CRASH_MAX);
	sim_path_tidy(path, f->path, sizeof(f->path));
	f->img = (struct memimg){ 0 };
	return &f->img;
}

void crash_tree_remove(struct crash_tree *t, const char *path)
{
	for (unsigned i = 0; i < t->cnt; i++) {
		if (strcmp(t->files[i].path, path) != 0)
			continue;
		memimg_free(&t->files[i].img);
		t->files[i] = t->files[--t->cnt];
		return;
	}
}

void crash_tree_clone(struct crash_tree *dst, const struct crash_tree *src)
{
	*dst = *src;
	for (unsigned i = 0; i < src->cnt; i++)
		memimg_clone(&dst->files[i].img, &src->files[i].img);
}

void crash_tree_free(struct crash_tree *t)
{
	for (unsigned i = 0; i < t->cnt; i++)
		memimg_free(&t->files[i].img);
	t->cnt = 0;
}

/* ---- names --------------------------------------------------------------- */

static struct inode *inode_new(struct opener_crash *o, const char *path,
			       const struct memimg *img)
{
	struct crash_names *n = o->names;
	struct inode *i = calloc(1, sizeof(*i));

	ASSERT(i && n->inode_cnt < ARRAY_LEN(n->inodes));
	i->disk = crash_disk_new(o->world, path, img);
	n->inodes[n->inode_cnt++] = i;
	return i;
}

static struct inode *lookup(const struct opener_crash *o, const char *path)
{
	const struct crash_names *n = o->names;

	for (size_t i = n->cnt; i-- > 0;)
		if (strcmp(n->changes[i].path, path) == 0)
			return n->changes[i].to;
	return NULL;
}

static void change_add(struct opener_crash *o, const char *path,
		       struct inode *to, uint64_t begun)
{
	struct crash_names *n = o->names;
	struct change *c;

	if (n->cnt == n->room) {
		n->room = n->room ? 2 * n->room : 64;
		n->changes = realloc(n->changes, n->room * sizeof(*c));
		ASSERT(n->changes);
	}
	c = &n->changes[n->cnt++];
	*c = (struct change){ .to = to, .begun = begun,
			      .durable = begun ? CRASH_NEVER : 0 };
	strcpy(c->path, path);
}

static size_t folder_len(const char *path)
{
	return (size_t)(strrchr(path, '/') - path);
}

static uint64_t mark(struct opener_crash *o, const char *path,
		     const char *what)
{
	char text[OPENER_CRASH_PATH + 32];

	snprintf(text, sizeof(text), "%s: %s", path, what);
	return crash_mark(o->world, text);
}

static void folder_sync(struct opener_crash *o, const char *path,
			const char *what)
{
	uint64_t now = mark(o, path, what);

	for (size_t i = 0; i < o->names->cnt; i++) {
		struct change *c = &o->names->changes[i];

		if (c->durable == CRASH_NEVER &&
		    folder_len(c->path) == folder_len(path) &&
		    strncmp(c->path, path, folder_len(path)) == 0)
			c->durable = now;
	}
}

/* ---- failing ------------------------------------------------------------- */

static bool counts(const struct opener_crash *o, const char *path)
{
	return !o->fault_path || strcmp(o->fault_path, path) == 0;
}

static bool due(struct opener_crash *o, unsigned bit, const char *path)
{
	if (!counts(o, path) || !fault_due(&o->fault, bit))
		return false;
	if (o->failed_cnt++ == 0)
		strcpy(o->failed_path, path);
	return true;
}

static int fail(const struct opener_crash *o, const char *path,
		const char *what, struct vhdx_err *e)
{
	return err_sys(e, o->fault.sys_errno, "%s: %s: injected failure", path,
		       what);
}

/* ---- handles ------------------------------------------------------------- */

static struct handle *handle_of(struct file *f)
{
	return container_of(f, struct handle, w.file);
}

static void handle_submit(struct file *f, struct file_io *io)
{
	struct handle *h = handle_of(f);
	uint64_t failed = h->o->failed_cnt;

	file_wrap_pass(&h->w, io);
	if (failed == 0 && h->o->failed_cnt)
		strcpy(h->o->failed_path, f->path);
}

static void handle_close(struct file *f)
{
	struct handle *h = handle_of(f);

	if (h->locks)
		(*(f->writable ? &h->inode->writers : &h->inode->readers))--;
	h->o->names->open_cnt--;
	file_close(h->w.inner);
	free(h);
}

static const struct file_ops handle_ops = {
	.submit = handle_submit,
	.next_data = file_wrap_next_data,
	.host_len = file_wrap_host_len,
	.close = handle_close,
	.copies = true,
	.peek = file_wrap_peek,
};

static void handle_new(struct opener_crash *o, struct loop *l,
		       const char *path, struct inode *i, unsigned flags,
		       struct file **out)
{
	static struct fault_rule never;
	struct handle *h = calloc(1, sizeof(*h));
	struct file *disk;
	struct file_fault *ff;

	ASSERT(h);
	if (crash_disk_open(i->disk, l, &disk, NULL))
		abort();
	disk->writable = flags & OPENER_WRITE;
	if (file_fault_new(disk, &ff, NULL))
		abort();
	ff->shared = counts(o, path) ? &o->fault : &never;
	ff->failed_total = &o->failed_cnt;
	file_wrap_init(&h->w, &ff->w.file, &handle_ops);
	h->o = o;
	h->inode = i;
	h->locks = !(flags & OPENER_NOLOCK);
	if (h->locks)
		(*(disk->writable ? &i->writers : &i->readers))++;
	o->names->open_cnt++;
	*out = &h->w.file;
}

/* ---- the opener ---------------------------------------------------------- */

static int crash_open(const struct opener *op, struct loop *l,
		      const char *path, unsigned flags, struct file **out,
		      struct vhdx_err *e)
{
	struct opener_crash *o = of(op);
	char name[OPENER_CRASH_PATH];
	struct inode *i;

	sim_path_tidy(path, name, sizeof(name));
	i = lookup(o, name);
	if (due(o, FAULT_OPEN, name))
		return fail(o, name, "open", e);
	if (flags & OPENER_CREATE) {
		if (i)
			return err_set(e, VHDX_E_EXISTS, "%s: exists already",
				       name);
		i = inode_new(o, name, NULL);
		change_add(o, name, i, mark(o, name, "created"));
	}
	if (!i)
		return err_sys(e, ENOENT, "%s: open", name);
	if (!(flags & OPENER_NOLOCK) &&
	    (i->writers || (flags & OPENER_WRITE && i->readers)))
		return err_set(e, VHDX_E_BUSY, "%s: is %s already", name,
			       i->writers ? "being written to" : "in use");
	handle_new(o, l, name, i, flags, out);
	return 0;
}

static int crash_remove(const struct opener *op, const char *path,
			struct vhdx_err *e)
{
	struct opener_crash *o = of(op);
	char name[OPENER_CRASH_PATH];
	bool fails;

	sim_path_tidy(path, name, sizeof(name));
	if (!lookup(o, name))
		return err_sys(e, ENOENT, "%s: remove", name);
	fails = due(o, FAULT_REMOVE, name);
	if (fails && o->fault.extent == FAULT_NOTHING)
		return fail(o, name, "remove", e);
	change_add(o, name, NULL, mark(o, name, "remove begun"));
	if (fails)
		return fail(o, name, "was removed, but its folder cannot be "
			    "synced", e);
	folder_sync(o, name, "removed");
	return 0;
}

static int crash_put(const struct opener *op, struct loop *l, const char *path,
		     const void *data, size_t len, struct vhdx_err *e)
{
	struct opener_crash *o = of(op);
	char name[OPENER_CRASH_PATH];
	struct memimg img = { 0 };
	struct inode *i;
	bool fails;

	(void)l;
	sim_path_tidy(path, name, sizeof(name));
	i = lookup(o, name);
	if (i && (i->readers || i->writers))
		return err_set(e, VHDX_E_BUSY, "%s: is in use", name);
	fails = due(o, FAULT_PUT, name);
	if (fails && o->fault.extent != FAULT_DONE)
		return fail(o, name, "write", e);
	memimg_write(&img, 0, data, len);
	i = inode_new(o, name, &img);
	memimg_free(&img);
	change_add(o, name, i, mark(o, name, "put begun"));
	if (fails)
		return fail(o, name, "is there, but its folder cannot be "
			    "synced", e);
	folder_sync(o, name, "put");
	return 0;
}

static int crash_get(const struct opener *op, struct loop *l, const char *path,
		     size_t max, char **data, size_t *len, bool *foreign,
		     struct vhdx_err *e)
{
	struct opener_crash *o = of(op);
	char name[OPENER_CRASH_PATH];
	const struct memimg *img;
	struct inode *i;

	(void)l;
	*data = NULL;
	if (foreign)
		*foreign = o->foreign;
	sim_path_tidy(path, name, sizeof(name));
	i = lookup(o, name);
	if (!i)
		return err_sys(e, ENOENT, "%s: open", name);
	if (due(o, FAULT_GET, name))
		return fail(o, name, "read", e);
	img = crash_disk_content(i->disk);
	if (img->size > max)
		return err_set(e, VHDX_E_RANGE, "%s: has %ju bytes, at most "
			       "%zu are expected", name, (uintmax_t)img->size,
			       max);
	*len = (size_t)img->size;
	*data = mem_zalloc(*len + 1);
	if (!*data)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", name);
	memimg_read(img, 0, *data, *len);
	return 0;
}

static uint64_t crash_free_len(const struct opener *op, const char *path)
{
	(void)path;
	return of(op)->free_len;
}

void opener_crash_init(struct opener_crash *o, const struct crash_opts *opts,
		       const struct crash_tree *tree)
{
	*o = (struct opener_crash){
		.opener = { .open = crash_open, .remove = crash_remove,
			    .put = crash_put, .get = crash_get,
			    .free_len = crash_free_len },
		.world = crash_world_new(opts),
		.free_len = UINT64_MAX,
		.names = calloc(1, sizeof(struct crash_names)),
	};
	ASSERT(o->names);
	for (unsigned i = 0; tree && i < tree->cnt; i++)
		change_add(o, tree->files[i].path,
			   inode_new(o, tree->files[i].path,
				     &tree->files[i].img), 0);
}

void opener_crash_fini(struct opener_crash *o)
{
	ASSERT(o->names->open_cnt == 0);
	crash_world_free(o->world);
	for (unsigned i = 0; i < o->names->inode_cnt; i++)
		free(o->names->inodes[i]);
	free(o->names->changes);
	free(o->names);
}

unsigned opener_crash_open_cnt(const struct opener_crash *o)
{
	return o->names->open_cnt;
}

unsigned opener_crash_list(const struct opener_crash *o,
			   char names[][OPENER_CRASH_PATH])
{
	unsigned cnt = 0;

	for (size_t i = 0; i < o->names->cnt; i++) {
		const char *path = o->names->changes[i].path;
		unsigned k = 0;

		while (k < cnt && strcmp(names[k], path) != 0)
			k++;
		if (k < cnt || !lookup(o, path))
			continue;
		ASSERT(cnt < OPENER_CRASH_MAX);
		strcpy(names[cnt++], path);
	}
	return cnt;
}

void opener_crash_now(const struct opener_crash *o, struct crash_tree *out)
{
	char names[OPENER_CRASH_MAX][OPENER_CRASH_PATH];
	unsigned cnt = opener_crash_list(o, names);

	out->cnt = 0;
	for (unsigned i = 0; i < cnt; i++)
		memimg_clone(crash_tree_add(out, names[i]),
			     crash_disk_content(lookup(o, names[i])->disk));
}

void opener_crash_restart(struct opener_crash *o, const char *from,
			  const char *to)
{
	struct crash_tree *t = calloc(1, sizeof(*t));

	opener_crash_now(o, t);
	opener_crash_fini(o);
	for (unsigned i = 0; from && i < t->cnt; i++)
		if (strcmp(t->files[i].path, from) == 0)
			snprintf(t->files[i].path, sizeof(t->files[i].path),
				 "%s", to);
	opener_crash_init(o, NULL, t);
	crash_tree_free(t);
	free(t);
}

/* ---- after a power failure ---------------------------------------------- */

#define SUBSET (UINT64_C(1) << 63) /* the rest of the number is the subset */
#define SUBSETS_OF 3		   /* open changes: try all subsets */

struct chooser {
	uint64_t number, rng;
	uint64_t style;
	unsigned odd_one, nth; /* disk that differs; the next one */
};

static bool is_open(const struct change *c, uint64_t k)
{
	return c->begun <= k && c->durable > k;
}

uint64_t opener_crash_changes(struct opener_crash *o, uint64_t k)
{
	const struct crash_names *n = o->names;
	uint64_t cnt = 0;

	for (unsigned i = 0; i < n->inode_cnt; i++)
		cnt += crash_op_cnt(n->inodes[i]->disk, k);
	for (size_t i = 0; i < n->cnt; i++)
		cnt += is_open(&n->changes[i], k);
	return cnt;
}

static bool name_survives(struct chooser *c)
{
	bool yes;

	if (c->number < 2)
		return c->number;
	if (!(c->number & SUBSET))
		return t_rand(&c->rng) & 1;
	yes = c->number & 1;
	c->number = SUBSET | (c->number & ~SUBSET) >> 1;
	return yes;
}

/* Whole changes: all but one, just one, the later ones, the earlier ones. */
static uint64_t some_of(uint64_t open, uint64_t *rng)
{
	uint64_t bit = UINT64_C(1) << t_rand_below(rng, u64_min(open, 63));
	uint64_t masks[] = { ~bit, bit, ~(bit - 1), bit - 1 };

	return masks[t_rand_below(rng, ARRAY_LEN(masks))];
}

static struct crash_pick pick_for(struct chooser *c, uint64_t open)
{
	struct crash_pick p = { CRASH_SEED, t_rand(&c->rng) };
	bool odd = c->nth++ == c->odd_one;

	if (c->number < 2) {
		p.kind = c->number ? CRASH_ALL : CRASH_NONE;
	} else if (c->number & SUBSET) {
		p = (struct crash_pick){ CRASH_OPS, c->number & ~SUBSET };
		c->number = SUBSET | (c->number & ~SUBSET) >> open;
	} else if (c->style < 2) { /* each all or nothing */
		p.kind = p.arg & 1 ? CRASH_ALL : CRASH_NONE;
	} else if (c->style == 2) {
		p.kind = odd ? CRASH_ALL : CRASH_NONE;
	} else if (c->style == 3) {
		p.kind = odd ? CRASH_NONE : CRASH_ALL;
	} else if (c->style == 4 && open) {
		p = (struct crash_pick){ CRASH_OPS, some_of(open, &c->rng) };
	}
	return p;
}

void opener_crash_build(struct opener_crash *o, uint64_t k, uint64_t number,
			struct crash_tree *out)
{
	struct crash_names *n = o->names;
	struct chooser c = { .number = number, .rng = number };
	struct inode *to[OPENER_CRASH_MAX];
	struct crash_tree names = { 0 };
	uint64_t alive = 0;

	c.style = t_rand_below(&c.rng, 8);
	for (unsigned i = 0; i < n->inode_cnt; i++)
		alive += crash_op_cnt(n->inodes[i]->disk, k) > 0;
	c.odd_one = (unsigned)t_rand_below(&c.rng, alive ? alive : 1);
	for (size_t i = 0; i < n->cnt; i++) {
		const struct change *ch = &n->changes[i];
		struct memimg *m;

		if (ch->begun > k || (ch->durable > k && !name_survives(&c)))
			continue;
		m = crash_tree_find(&names, ch->path);
		if (!m)
			m = crash_tree_add(&names, ch->path);
		to[container_of(m, struct crash_tree_file, img) -
		   names.files] = ch->to;
	}
	out->cnt = 0;
	for (unsigned i = 0; i < n->inode_cnt; i++) {
		uint64_t open = crash_op_cnt(n->inodes[i]->disk, k);
		struct crash_pick p = { CRASH_NONE, 0 };

		if (open)
			p = pick_for(&c, open);
		for (unsigned j = 0; j < names.cnt; j++)
			if (to[j] == n->inodes[i])
				crash_build(to[j]->disk, k, &p,
					    crash_tree_add(out,
							names.files[j].path));
	}
}

uint64_t opener_crash_state_cnt(struct opener_crash *o, uint64_t k,
				uint64_t max)
{
	uint64_t open = opener_crash_changes(o, k);

	if (open > SUBSETS_OF)
		return max;
	return u64_min(max, (UINT64_C(1) << open) + (open ? 2 : 0));
}

uint64_t opener_crash_state(struct opener_crash *o, uint64_t k, uint64_t n,
			    uint64_t *rng)
{
	uint64_t open = opener_crash_changes(o, k);

	if (open <= SUBSETS_OF && n < UINT64_C(1) << open)
		return SUBSET | n;
	return n < 2 ? n : 2 + t_rand_below(rng, UINT32_MAX);
}
