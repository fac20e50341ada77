/* SPDX-License-Identifier: MIT */
/*
 * The one place where errors come into being: err_raise(). A text is always
 * one terminated line: control bytes, which can come from names stored in a
 * file, are replaced, so that an error never garbles a terminal or a log.
 * Nothing here allocates or fails.
 */
#include "err.h"

#include <errno.h>
#include <string.h>

static void make_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int err_raise(struct vhdx_err *e, int code, enum vhdx_obj obj, uint64_t off,
	      const char *spec, int sys_errno, const char *func, int line,
	      const char *fmt, ...)
{
	/* Built aside: spec and the arguments may point into *e. */
	struct vhdx_err n = {
		.code = code,
		.sys_errno = sys_errno,
		.obj = obj,
		.off = off,
		.func = func,
		.line = line,
	};
	va_list ap;

	if (!e)
		return code;
	snprintf(n.spec, sizeof(n.spec), "%s", spec ? spec : "");
	va_start(ap, fmt);
	vsnprintf(n.text, sizeof(n.text), fmt, ap);
	va_end(ap);
	make_one_line(n.text);
	*e = n;
	return code;
}

int err_raise_sys(struct vhdx_err *e, int sys_errno, const char *func,
		  int line, const char *fmt, ...)
{
	char text[sizeof(e->text)], why[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* The GNU strerror_r: thread-safe, never fails. */
	return err_raise(e, err_code_of_errno(sys_errno), VHDX_OBJ_NONE,
			 ERR_NO_OFF, NULL, sys_errno, func, line, "%s: %s",
			 text, strerror_r(sys_errno, why, sizeof(why)));
}

int err_wrap(struct vhdx_err *e, int code, const char *fmt, ...)
{
	char head[sizeof(e->text)], text[sizeof(e->text)];
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	if ((size_t)snprintf(text, sizeof(text), "%s: %s", head, e->text) >=
	    sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	make_one_line(text);
	memcpy(e->text, text, sizeof(text));
	return e->code;
}

int err_copy(struct vhdx_err *dst, const struct vhdx_err *src, int code)
{
	if (!dst || dst == src)
		return code;
	if (src) {
		*dst = *src;
	} else {
		err_clear(dst);
		dst->code = code;
	}
	return code;
}

void err_clear(struct vhdx_err *e)
{
	if (e)
		*e = (struct vhdx_err){ .code = VHDX_OK, .off = ERR_NO_OFF };
}

int err_code_of_errno(int sys_errno)
{
	switch (sys_errno) {
	case EACCES:
	case EPERM:
		return VHDX_E_PERM;
	case EROFS:
		return VHDX_E_READONLY;
	case ENOENT:
		return VHDX_E_NOTFOUND;
	case EEXIST:
		return VHDX_E_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return VHDX_E_NOSPC;
	case ENOMEM:
		return VHDX_E_NOMEM;
	default:
		return VHDX_E_IO;
	}
}
