/* SPDX-License-Identifier: MIT */
#include "file_fault.h"

struct fault_op {
	struct loop_task task;
	struct file_io io; /* what the inner file is asked for */
	struct file_io *outer;
	int fail_errno; /* 0: none */
};

static struct file_fault *fault_of(struct file *f)
{
	return container_of(f, struct file_fault, file);
}

static void finish(struct fault_op *op)
{
	struct file_io *outer = op->outer;
	struct file_fault *f = fault_of(outer->file);

	f->file.size = f->inner->size;
	outer->res = op->io.res;
	outer->res_punched = op->io.res_punched;
	outer->res_copied_len = op->io.res_copied_len;
	outer->res_from_failed = op->io.res_from_failed;
	outer->res_zero_len = op->io.res_zero_len;
	if (outer->res)
		outer->err = op->io.err;
	if (op->fail_errno) {
		outer->res_punched = false;
		outer->res = err_sys(&outer->err, op->fail_errno,
				     "%s: injected failure", f->file.path);
	}
	free(op);
	outer->done(outer);
}

static void finish_task(struct loop_task *t)
{
	finish(container_of(t, struct fault_op, task));
}

static void inner_done(struct file_io *io)
{
	finish(container_of(io, struct fault_op, io));
}

static struct fault_rule *rule_of(struct file_fault *f)
{
	return f->shared ? f->shared : &f->rule;
}

bool fault_due(struct fault_rule *r, unsigned op_bit)
{
	if (r->nth == 0 || !(r->ops & op_bit))
		return false;
	if (r->nth > 1) {
		r->nth--;
		return false;
	}
	if (!r->sticky)
		r->nth = 0;
	return true;
}

/* No disk tears a sector in two. */
static uint64_t half_of(uint64_t len)
{
	return len % 512 ? len / 2 : align_down(len / 2, 512);
}

static void fault_submit(struct file *file, struct file_io *io)
{
	struct file_fault *f = fault_of(file);
	struct fault_op *op = calloc(1, sizeof(*op));
	bool ranged = io->op != FILE_SYNC && io->op != FILE_TRUNCATE;

	ASSERT(op);
	f->cnt[io->op]++;
	f->bytes[io->op] += ranged ? io->len : 0;
	op->outer = io;
	op->io = (struct file_io){ .op = io->op, .off = io->off,
				   .len = io->len, .iov = io->iov,
				   .iov_cnt = io->iov_cnt,
				   .iov_skip = io->iov_skip,
				   .from = io->from,
				   .from_off = io->from_off,
				   .done = inner_done };
	if (fault_due(rule_of(f), 1u << io->op)) {
		f->failed_cnt++;
		if (f->failed_total)
			(*f->failed_total)++;
		op->fail_errno = rule_of(f)->sys_errno;
		if (rule_of(f)->extent == FAULT_NOTHING) {
			loop_task_init(&op->task, finish_task);
			loop_defer(file->loop, &op->task);
			return;
		}
		if (rule_of(f)->extent == FAULT_HALF)
			op->io.len = half_of(io->len);
	}
	if (io->op == FILE_COPY && io->skip_zeros)
		file_submit_skipping(f->inner, &op->io);
	else
		file_submit(f->inner, &op->io);
}

static int fault_next_data(struct file *f, uint64_t off, uint64_t *data_off,
			   uint64_t *len, struct vhdx_err *e)
{
	return file_next_data(fault_of(f)->inner, off, data_off, len, e);
}

static uint64_t fault_host_len(struct file *f)
{
	return file_host_len(fault_of(f)->inner);
}

static void fault_peek(struct file *f, uint64_t off, void *buf, size_t len)
{
	fault_of(f)->inner->ops->peek(fault_of(f)->inner, off, buf, len);
}

static void fault_close(struct file *f)
{
	file_close(fault_of(f)->inner);
	free(fault_of(f));
}

static const struct file_ops fault_ops = {
	.submit = fault_submit,
	.next_data = fault_next_data,
	.host_len = fault_host_len,
	.close = fault_close,
	.copies = true,
	.peek = fault_peek,
};

int file_fault_new(struct file *inner, struct file_fault **out,
		   struct vhdx_err *e)
{
	struct file_fault *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory",
			       inner->path);
	f->inner = inner;
	f->file = *inner;
	f->file.ops = &fault_ops;
	*out = f;
	return 0;
}

void fault_set(struct file_fault *f, struct fault_rule rule)
{
	f->rule = rule;
}
