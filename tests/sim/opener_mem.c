/* SPDX-License-Identifier: MIT */
#include "opener_mem.h"

#include <string.h>

#include "sim_path.h"

struct opener_mem_file *opener_mem_find(struct opener_mem *m,
					const char *path)
{
	char name[256];

	sim_path_tidy(path, name, sizeof(name));
	for (unsigned i = 0; i < m->cnt; i++)
		if (strcmp(m->files[i].path, name) == 0)
			return &m->files[i];
	return NULL;
}

struct opener_mem_file *opener_mem_add(struct opener_mem *m, const char *path)
{
	struct opener_mem_file *f = &m->files[m->cnt++];

	ASSERT(m->cnt <= OPENER_MEM_MAX);
	sim_path_tidy(path, f->path, sizeof(f->path));
	return f;
}

static int mem_open(const struct opener *o, struct loop *l, const char *path,
		    unsigned flags, struct file **out, struct vhdx_err *e)
{
	struct opener_mem *m = container_of(o, struct opener_mem, opener);
	struct opener_mem_file *f = opener_mem_find(m, path);
	int rc;

	if (!f)
		return err_set(e, VHDX_E_NOTFOUND, "%s: open: not there", path);
	if (f->fail)
		return err_set(e, f->fail, "%s: open: as told", path);
	f->flags = flags;
	f->open_cnt++;
	rc = file_mem_new(l, path, &f->img, out, e);
	if (!rc)
		(*out)->writable = flags & OPENER_WRITE;
	return rc;
}

void opener_mem_init(struct opener_mem *m)
{
	memset(m, 0, sizeof(*m));
	m->opener.open = mem_open;
}

void opener_mem_free(struct opener_mem *m)
{
	for (unsigned i = 0; i < m->cnt; i++)
		memimg_free(&m->files[i].img);
}
