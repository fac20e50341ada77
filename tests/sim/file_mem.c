/* SPDX-License-Identifier: MIT */
#include "file_mem.h"

#include "file_copy.h"
#include "mem.h"

#include <string.h>

struct file_mem {
	struct file file;
	struct memimg *img;
	struct memimg own;
	char *path;
};

static struct file_mem *mem_of(struct file *f)
{
	return container_of(f, struct file_mem, file);
}

static void transfer(struct memimg *img, struct file_io *io)
{
	uint64_t pos = 0;

	while (pos < io->len) {
		struct iovec v;
		size_t n;

		file_iov_window(io, pos, &v, 1, &n);
		if (io->op == FILE_READ)
			memimg_read(img, io->off + pos, v.iov_base, n);
		else
			memimg_write(img, io->off + pos, v.iov_base, n);
		pos += n;
	}
}

/* To the byte, and it is seen when somebody uses what was left out. */
static void leave_zeros_out(struct file_io *io)
{
	uint64_t pos = 0;

	while (pos < io->len) {
		struct iovec v;
		size_t n, k = 0;

		file_iov_window(io, pos, &v, 1, &n);
		while (k < n && ((uint8_t *)v.iov_base)[k] == 0)
			k++;
		memset(v.iov_base, 0xee, k);
		pos += k;
		if (k < n)
			break;
	}
	io->res_zero_len = pos;
}

/* Zeros are left out where that is allowed, as a real file does. */
static void copy(struct memimg *img, struct file_io *io)
{
	uint8_t *b = malloc((size_t)io->len);

	ASSERT(b);
	io->res = file_copy_peek(io, 0, b, (size_t)io->len);
	for (uint64_t pos = 0; !io->res && pos < io->len;) {
		size_t n = (size_t)u64_min(io->len - pos, MEMIMG_PAGE);

		if (!io->skip_zeros || !mem_is_zero(b + pos, n) ||
		    (io->extends && pos + n == io->len)) {
			memimg_write(img, io->off + pos, b + pos, n);
			io->res_copied_len += n;
		}
		pos += n;
	}
	free(b);
}

static int check_room(struct file_io *io)
{
	uint64_t end = io->off + (io->op == FILE_TRUNCATE ? 0 : io->len);

	if (io->op != FILE_WRITE && io->op != FILE_TRUNCATE &&
	    io->op != FILE_COPY)
		return 0;
	if (end <= MEMIMG_MAX_LEN)
		return 0;
	return err_set(&io->err, VHDX_E_NOSPC,
		       "memory file: end %llu is beyond the limit of %llu",
		       (unsigned long long)end,
		       (unsigned long long)MEMIMG_MAX_LEN);
}

void file_mem_apply(struct memimg *img, struct file_io *io)
{
	io->res = check_room(io);
	if (io->res)
		return;
	switch (io->op) {
	case FILE_READ:
	case FILE_WRITE:
		transfer(img, io);
		if (io->op == FILE_READ && io->skip_zeros)
			leave_zeros_out(io);
		break;
	case FILE_SYNC:
	case FILE_RESERVE: /* memory is there or the program is not */
		break;
	case FILE_TRUNCATE:
		memimg_resize(img, io->off);
		break;
	case FILE_PUNCH:
		io->res_punched = true;
		memimg_zero(img, io->off, io->len);
		break;
	case FILE_ZERO:
		memimg_zero(img, io->off, io->len);
		break;
	case FILE_COPY:
		copy(img, io);
		break;
	case FILE_SCAN:
		io->res = file_copy_scan(io);
		break;
	}
}

static void mem_run(struct loop_task *t)
{
	struct file_io *io = container_of(t, struct file_io, task);
	struct file_mem *m = mem_of(io->file);

	file_mem_apply(m->img, io);
	m->file.size = m->img->size;
	io->done(io);
}

static void mem_submit(struct file *f, struct file_io *io)
{
	loop_task_init(&io->task, mem_run);
	loop_defer(f->loop, &io->task);
}

static int mem_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			 uint64_t *len, struct vhdx_err *e)
{
	(void)e;
	memimg_next_data(mem_of(f)->img, off, data_off, len);
	return 0;
}

static uint64_t mem_host_len(struct file *f)
{
	return memimg_page_cnt(mem_of(f)->img) * MEMIMG_PAGE;
}

static void mem_peek(struct file *f, uint64_t off, void *buf, size_t len)
{
	memimg_read(mem_of(f)->img, off, buf, len);
}

static void mem_close(struct file *f)
{
	struct file_mem *m = mem_of(f);

	memimg_free(&m->own);
	free(m->path);
	free(m);
}

static const struct file_ops mem_ops = {
	.submit = mem_submit,
	.next_data = mem_next_data,
	.host_len = mem_host_len,
	.close = mem_close,
	.copies = true,
	.peek = mem_peek,
};

int file_mem_new(struct loop *l, const char *path, struct memimg *img,
		 struct file **out, struct vhdx_err *e)
{
	struct file_mem *m = calloc(1, sizeof(*m));

	if (!m || !(m->path = strdup(path))) {
		free(m);
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory", path);
	}
	m->img = img ? img : &m->own;
	m->file = (struct file){ .ops = &mem_ops, .loop = l, .path = m->path,
				 .size = m->img->size, .writable = true };
	*out = &m->file;
	return 0;
}

struct memimg *file_mem_img(struct file *f)
{
	ASSERT(f->ops == &mem_ops);
	return mem_of(f)->img;
}
