/* SPDX-License-Identifier: MIT */
/*
 * The names of the public enumerations, as programs print them. Total: a
 * number that is none of ours gives "?", never NULL.
 */
#include "base.h"
#include "vhdx.h"

#define NAME_OF(table, i) \
	((size_t)(i) < ARRAY_LEN(table) && (table)[i] ? (table)[i] : "?")

const char *vhdx_code_name(int code)
{
	static const char *const names[] = {
		[VHDX_OK] = "OK",
		[VHDX_E_INVAL] = "INVAL",
		[VHDX_E_IO] = "IO",
		[VHDX_E_CORRUPT] = "CORRUPT",
		[VHDX_E_NEEDS_REPLAY] = "NEEDS_REPLAY",
		[VHDX_E_NOPARENT] = "NOPARENT",
		[VHDX_E_LINKAGE] = "LINKAGE",
		[VHDX_E_UNSUPPORTED] = "UNSUPPORTED",
		[VHDX_E_READONLY] = "READONLY",
		[VHDX_E_BUSY] = "BUSY",
		[VHDX_E_NOSPC] = "NOSPC",
		[VHDX_E_RANGE] = "RANGE",
		[VHDX_E_NOMEM] = "NOMEM",
		[VHDX_E_CANCELED] = "CANCELED",
		[VHDX_E_FAILED] = "FAILED",
		[VHDX_E_NOTFOUND] = "NOTFOUND",
		[VHDX_E_EXISTS] = "EXISTS",
		[VHDX_E_PERM] = "PERM",
	};

	return NAME_OF(names, code);
}

const char *vhdx_obj_name(enum vhdx_obj obj)
{
	static const char *const names[] = {
		[VHDX_OBJ_NONE] = "NONE",
		[VHDX_OBJ_IDENT] = "IDENT",
		[VHDX_OBJ_HEADER] = "HEADER",
		[VHDX_OBJ_REGION] = "REGION",
		[VHDX_OBJ_LOG] = "LOG",
		[VHDX_OBJ_META] = "META",
		[VHDX_OBJ_BAT] = "BAT",
		[VHDX_OBJ_BITMAP] = "BITMAP",
		[VHDX_OBJ_LOCATOR] = "LOCATOR",
		[VHDX_OBJ_PARENT] = "PARENT",
		[VHDX_OBJ_FOOTER] = "FOOTER",
		[VHDX_OBJ_DYNHEADER] = "DYNHEADER",
		[VHDX_OBJ_PAYLOAD] = "PAYLOAD",
		[VHDX_OBJ_DEVICE] = "DEVICE",
	};

	return NAME_OF(names, obj);
}

const char *vhdx_format_name(enum vhdx_format f)
{
	static const char *const names[] = {
		[VHDX_FORMAT_PROBE] = "probe",
		[VHDX_FORMAT_RAW] = "raw",
		[VHDX_FORMAT_VHD] = "vhd",
		[VHDX_FORMAT_VHDX] = "vhdx",
	};

	return NAME_OF(names, f);
}

const char *vhdx_type_name(enum vhdx_type t)
{
	static const char *const names[] = {
		[VHDX_TYPE_FIXED] = "fixed",
		[VHDX_TYPE_DYNAMIC] = "dynamic",
		[VHDX_TYPE_DIFFERENCING] = "differencing",
	};

	return NAME_OF(names, t);
}
