/* SPDX-License-Identifier: MIT */
/*
 * Raising errors. An error is raised once, where it is detected, by returning
 * err_set() or err_corrupt(); outer layers may only add context with
 * err_wrap(). All three return the code, so `return err_set(e, ...)` is the
 * idiom, and one breakpoint on err_raise() sees every error of the library.
 *
 * `e` may be NULL everywhere: the code is still returned.
 * The text names the object, the value found and the value allowed.
 */
#ifndef ERR_H
#define ERR_H

#include <stdarg.h>

#include "base.h"
#include "vhdx.h"

#define ERR_NO_OFF UINT64_MAX

/* code: VHDX_E_*; obj: VHDX_OBJ_*. sys_errno is taken from the last argument
 * of err_sys only. */
#define err_set(e, code, ...) \
	err_raise((e), (code), VHDX_OBJ_NONE, ERR_NO_OFF, NULL, 0, __func__, \
		  __LINE__, __VA_ARGS__)

/* A structure of the file breaks a rule: object, file offset in bytes, section
 * of MS-VHDX (or "VHD") that states the rule, then the text. */
#define err_corrupt(e, obj, off, spec, ...) \
	err_raise((e), VHDX_E_CORRUPT, (obj), (off), (spec), 0, __func__, \
		  __LINE__, __VA_ARGS__)

/* As err_corrupt with another code (UNSUPPORTED, NEEDS_REPLAY, ...). */
#define err_obj(e, code, obj, off, spec, ...) \
	err_raise((e), (code), (obj), (off), (spec), 0, __func__, __LINE__, \
		  __VA_ARGS__)

/* A system call failed with errno `en`: err_code_of_errno() chooses the code,
 * and ": " with strerror(en) is appended. */
#define err_sys(e, en, ...) \
	err_raise_sys((e), (en), __func__, __LINE__, __VA_ARGS__)

int err_raise(struct vhdx_err *e, int code, enum vhdx_obj obj, uint64_t off,
	      const char *spec, int sys_errno, const char *func, int line,
	      const char *fmt, ...) printf_like(9, 10);
int err_raise_sys(struct vhdx_err *e, int sys_errno, const char *func,
		  int line, const char *fmt, ...) printf_like(5, 6);

/* Puts "text: " in front of e's text and returns e's code (or `code` itself
 * when e is NULL). */
int err_wrap(struct vhdx_err *e, int code, const char *fmt, ...)
	printf_like(3, 4);

/* Copies an error to another caller's struct; either may be NULL. */
int err_copy(struct vhdx_err *dst, const struct vhdx_err *src, int code);

void err_clear(struct vhdx_err *e);

/* EACCES, EPERM -> PERM; EROFS -> READONLY; ENOENT -> NOTFOUND; EEXIST ->
 * EXISTS; ENOSPC, EDQUOT, EFBIG -> NOSPC; ENOMEM -> NOMEM; else IO. */
int err_code_of_errno(int sys_errno);

#endif
