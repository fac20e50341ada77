/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "part.h"

static void set(json_t *j, const char *key, json_t *value)
{
	(void)json_object_set_new(j, key, value);
}

/* An integer, or a string of digits where JSON's integers end (2^63). */
static json_t *number(uint64_t v)
{
	char text[24];
	if (v <= INT64_MAX)
		return json_integer((json_int_t)v);
	snprintf(text, sizeof(text), "%ju", (uintmax_t)v);
	return json_string(text);
}

/* A string from outside: bytes that are not UTF-8 become '?'. */
static json_t *string(const char *text)
{
	json_t *j = json_string(text);
	char *copy = j ? NULL : strdup(text);
	if (j || !copy)
		return j;
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	j = json_string(copy);
	free(copy);
	return j;
}

static json_t *chain(const struct mnt *m)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < vhdx_layer_cnt(m->blk); i++) {
		struct vhdx_info info;
		const char *path;
		vhdx_get_layer(m->blk, i, &info, &path);
		json_t *j = json_object();
		set(j, "depth", json_integer(i));
		set(j, "file", string(path));
		set(j, "format", json_string(vhdx_format_name(info.format)));
		set(j, "type", json_string(vhdx_type_name(info.type)));
		set(j, "file_length", number(info.file_len));
		set(j, "host_length", number(info.host_len));
		set(j, "log_replayed", json_boolean(info.log_dirty));
		(void)json_array_append_new(list, j);
	}
	return list;
}

static json_t *basics(const struct mnt *m)
{
	json_t *j = json_object();
	set(j, "program", json_string("vhdfuse " VHDKIT_VERSION));
	set(j, "pid", json_integer(getpid()));
	set(j, "image", string(m->dev.image));
	set(j, "overlay", m->dev.overlay ? string(m->dev.overlay)
					 : json_null());
	set(j, "mountpoint", string(m->mountpoint));
	set(j, "control", m->control_path ? string(m->control_path)
					  : json_null());
	set(j, "size", number(m->geo.size_len));
	set(j, "sector_size", json_integer(m->geo.sector_len));
	set(j, "physical_sector_size",
	    json_integer(m->geo.physical_sector_len));
	set(j, "block_size", json_integer(m->geo.block_len));
	set(j, "read_only", json_boolean(m->geo.read_only));
	set(j, "cache", json_string(m->conf->direct ? "none" : "writeback"));
	set(j, "chain", chain(m));
	set(j, "partitions", part_report(m));
	return j;
}

bool report_make_info(struct mnt *m)
{
	json_t *j = basics(m);
	char *text = json_dumps(j, JSON_INDENT(2));
	char *line = NULL;
	json_decref(j);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	if (!line)
		return false;
	free(m->info);
	m->info = line;
	if (m->tree.info) {
		m->tree.info->len = strlen(line);
		clock_gettime(CLOCK_REALTIME, &m->tree.info->changed);
	}
	return true;
}

static json_t *counts(const struct counts *c)
{
	json_t *j = json_object();
	set(j, "requests", number(c->requests));
	set(j, "bytes", number(c->bytes));
	set(j, "errors", number(c->errors));
	return j;
}

json_t *report_status(const struct mnt *m)
{
	json_t *j = basics(m);
	set(j, "uptime", number((uint64_t)(time(NULL) - m->began)));
	set(j, "read", counts(&m->reads));
	set(j, "write", counts(&m->writes));
	set(j, "zero", counts(&m->zeroes));
	set(j, "flush", counts(&m->flushes));
	set(j, "in_flight", json_integer(m->in_flight));
	set(j, "in_flight_max", json_integer(m->in_flight_max));
	set(j, "unflushed", json_boolean(m->change_seq != m->flushed_seq));
	set(j, "write_error", m->last_write_code ?
	    json_string(vhdx_code_name(m->last_write_code)) : json_null());
	return j;
}
