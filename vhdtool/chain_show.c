/* SPDX-License-Identifier: MIT */
#include "chain_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "img.h"
#include "msg.h"
#include "out.h"

struct layer {
	char *path;
	struct vhdx_info info;
	int check_code; /* VHDX_E_*: it could not be examined, see err */
	struct vhdx_err err;
	struct vhdx_check_result check;
};

struct chain {
	unsigned cnt;
	struct layer *layers;
	struct vhdx_err broken; /* why it ends early; code 0: it does not */
};

static void chain_free(struct chain *c)
{
	for (unsigned i = 0; i < c->cnt; i++)
		free(c->layers[i].path);
	free(c->layers);
}

static int collect(const char *path, struct vhdx_blk *blk, struct chain *c)
{
	unsigned cnt = vhdx_layer_cnt(blk);
	c->layers = calloc(cnt, sizeof(c->layers[0]));
	if (!c->layers)
		return say_fail(STATUS_FAILED, path, "out of memory");
	for (; c->cnt < cnt; c->cnt++) {
		struct layer *l = &c->layers[c->cnt];
		const char *layer_path;
		vhdx_get_layer(blk, c->cnt, &l->info, &layer_path);
		l->path = strdup(layer_path);
		if (!l->path)
			return say_fail(STATUS_FAILED, path, "out of memory");
	}
	return STATUS_OK;
}

static int examine(struct layer *l)
{
	if (l->info.format == VHDX_FORMAT_RAW)
		return STATUS_OK;
	l->check_code = vhdx_check(l->path, 0, NULL, NULL, &l->check, &l->err);
	if (l->check_code)
		return say_exit_status(l->check_code);
	return l->check.errors ? STATUS_INTEGRITY : STATUS_OK;
}

/* What identifies a layer to its children. */
static const char *link_id(const struct layer *l, char buf[OUT_GUID_LEN])
{
	bool vhdx = l->info.format == VHDX_FORMAT_VHDX;
	return out_guid(vhdx ? l->info.data_write_guid : l->info.disk_id,
			l->info.format, buf);
}

static void print_health(const struct layer *l)
{
	char buf[OUT_SIZE_LEN];
	if (l->check_code)
		printf("cannot be examined: %s", l->err.text);
	else if (l->check.errors)
		printf("DAMAGED, %s; see: vhdtool check %s",
		       out_count(l->check.errors, "error", "errors", buf),
		       msg_shell_word(l->path));
	else
		printf("ok%s", l->info.log_dirty ?
		       " (its log is dirty; read as after replay)" : "");
}

static void print_layer(const struct layer *l, unsigned depth)
{
	char size[OUT_SIZE_LEN], file[OUT_SIZE_LEN], id[OUT_GUID_LEN];
	bool raw = l->info.format == VHDX_FORMAT_RAW;
	printf("%u: %s: %s%s%s, %s, file of %s", depth, out_clean(l->path),
	       raw ? "" : vhdx_type_name(l->info.type), raw ? "" : " ",
	       vhdx_format_name(l->info.format),
	       out_human(l->info.size_len, size),
	       out_human(l->info.file_len, file));
	if (!raw)
		printf(", id %s", link_id(l, id));
	fputs(": ", stdout);
	print_health(l);
	putchar('\n');
}

static const char *health_word(const struct layer *l)
{
	if (l->check_code)
		return "unknown";
	return l->check.errors ? "damaged" : "ok";
}

static json_t *layer_json(const struct layer *l, unsigned depth)
{
	char id[OUT_GUID_LEN];
	json_t *j = json_object();
	json_object_set_new(j, "depth", out_u64(depth));
	json_object_set_new(j, "file", out_string(l->path));
	json_object_set_new(j, "format",
			    json_string(vhdx_format_name(l->info.format)));
	json_object_set_new(j, "type",
			    json_string(vhdx_type_name(l->info.type)));
	json_object_set_new(j, "virtual_size", out_u64(l->info.size_len));
	json_object_set_new(j, "file_length", out_u64(l->info.file_len));
	json_object_set_new(j, "link_id", json_string(link_id(l, id)));
	json_object_set_new(j, "log_dirty", json_boolean(l->info.log_dirty));
	json_object_set_new(j, "health", json_string(health_word(l)));
	json_object_set_new(j, "errors", out_u64(l->check.errors));
	if (l->check_code)
		json_object_set_new(j, "problem", out_error(&l->err));
	return j;
}

static int print_json(const struct chain *c)
{
	json_t *j = json_object(), *layers = json_array();
	for (unsigned i = 0; i < c->cnt; i++)
		json_array_append_new(layers, layer_json(&c->layers[i], i));
	json_object_set_new(j, "complete", json_boolean(!c->broken.code));
	json_object_set_new(j, "layers", layers);
	if (c->broken.code)
		json_object_set_new(j, "problem", out_error(&c->broken));
	return out_json(j);
}

int chain_show(const char *path, unsigned flags, const struct opt_list *search,
	       bool json)
{
	struct chain c = { 0 };
	struct vhdx_blk *blk;
	int status = img_open_anyhow(path, flags, search, &blk, &c.broken);
	if (status)
		return status;
	status = img_close(path, blk, collect(path, blk, &c));
	int wrong = STATUS_OK;
	for (unsigned i = 0; !status && i < c.cnt; i++) {
		int found = examine(&c.layers[i]);
		wrong = wrong ? wrong : found;
	}
	for (unsigned i = 0; !status && !json && i < c.cnt; i++)
		print_layer(&c.layers[i], i);
	if (!status && json)
		status = print_json(&c);
	else if (!status && c.broken.code)
		printf("%u: %s\n", c.cnt, img_broken_word(&c.broken));
	chain_free(&c);
	if (!status && c.broken.code)
		return msg_err(path, &c.broken);
	return status ? status : wrong;
}
