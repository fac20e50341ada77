/* SPDX-License-Identifier: MIT */
#include "file_fault.h"

static struct file_fault *fault_of(struct file *f)
{
	return container_of(f, struct file_fault, w.file);
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
	struct fault_rule *r = rule_of(f);
	bool ranged = io->op != FILE_SYNC && io->op != FILE_TRUNCATE;

	f->cnt[io->op]++;
	f->bytes[io->op] += ranged ? io->len : 0;
	if (!fault_due(r, 1u << io->op)) {
		file_wrap_pass(&f->w, io);
		return;
	}
	f->failed_cnt++;
	if (f->failed_total)
		(*f->failed_total)++;
	if (r->extent == FAULT_NOTHING)
		file_wrap_fail(&f->w, io, r->sys_errno);
	else
		file_wrap_pass_failing(&f->w, io, r->extent == FAULT_HALF ?
				       half_of(io->len) : io->len,
				       r->sys_errno);
}

static void fault_close(struct file *f)
{
	file_close(fault_of(f)->w.inner);
	free(fault_of(f));
}

static const struct file_ops fault_ops = {
	.submit = fault_submit,
	.next_data = file_wrap_next_data,
	.host_len = file_wrap_host_len,
	.close = fault_close,
	.copies = true,
	.peek = file_wrap_peek,
};

int file_fault_new(struct file *inner, struct file_fault **out,
		   struct vhdx_err *e)
{
	struct file_fault *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, VHDX_E_NOMEM, "%s: out of memory",
			       inner->path);
	file_wrap_init(&f->w, inner, &fault_ops);
	*out = f;
	return 0;
}

void fault_set(struct file_fault *f, struct fault_rule rule)
{
	f->rule = rule;
}
