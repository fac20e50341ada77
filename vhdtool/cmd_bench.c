/* SPDX-License-Identifier: MIT */
/*
 * bench: `depth` requests in flight until `count` are done. Time runs from the
 * first submit to the last completion, flushes that were asked for included;
 * opening and closing are outside.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd.h"
#include "hist.h"
#include "img.h"
#include "intr.h"
#include "out.h"

enum { BENCH_READ, BENCH_WRITE };
enum { CACHE_WRITEBACK, CACHE_NONE };

struct bench_args {
	struct opt_list search;
	int op;
	int cache;
	uint64_t bs_len, step_len, voff;
	uint64_t depth, count, flush_interval, seed;
	bool random;
	bool json;
	bool force;
	bool dry_run;
};

struct worker {
	struct bench *bench;
	struct worker *next; /* in idle */
	struct vhdx_req req;
	struct iovec iov;
	struct vhdx_err err;
	uint64_t begin_ns;
};

struct bench {
	const struct bench_args *args;
	struct vhdx_blk *blk;
	uint64_t size_len;   /* whole multiple of bs from voff on */
	uint64_t next_voff;
	uint64_t random_state;
	uint64_t submitted, done;
	uint64_t until_flush; /* writes left; only with an interval */
	uint64_t flushes;
	int in_flight;
	struct worker *idle;
	int code;
	struct vhdx_err err;
	struct hist hist;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* splitmix64: the same seed, the same offsets. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t pick_voff(struct bench *b)
{
	const struct bench_args *a = b->args;
	if (a->random) {
		uint64_t places = (b->size_len - a->voff) / a->bs_len;
		return a->voff +
		       next_random(&b->random_state) % places * a->bs_len;
	}
	uint64_t voff = b->next_voff;
	/* As in qemu-img bench: past the end it goes on as far behind the
	 * start, so that odd steps come by everywhere. */
	uint64_t span = b->size_len - a->voff;
	b->next_voff = a->voff +
		       (voff - a->voff + a->step_len % span) % span;
	if (b->next_voff + a->bs_len > b->size_len)
		b->next_voff = a->voff;
	return voff;
}

static void io_done(struct vhdx_req *req)
{
	struct worker *w = req->opaque;
	struct bench *b = w->bench;
	hist_add(&b->hist, now_ns() - w->begin_ns);
	b->in_flight--;
	b->done++;
	if (req->result && !b->code) {
		b->code = req->result;
		b->err = w->err;
	}
	w->next = b->idle;
	b->idle = w;
}

static void start(struct bench *b, struct worker *w)
{
	w->req.op = b->args->op == BENCH_READ ? VHDX_OP_READ : VHDX_OP_WRITE;
	w->req.flags = 0;
	w->req.voff = pick_voff(b);
	w->req.len = b->args->bs_len;
	w->req.iov = &w->iov;
	w->req.iov_cnt = 1;
	w->req.err = &w->err;
	w->req.done = io_done;
	w->req.opaque = w;
	w->begin_ns = now_ns();
	b->submitted++;
	b->in_flight++;
	vhdx_blk_submit(b->blk, &w->req);
}

static bool flush_is_due(const struct bench *b)
{
	return b->args->flush_interval && b->until_flush == 0;
}

static void submit_ready(struct bench *b)
{
	while (!b->code && b->idle && b->submitted < b->args->count &&
	       !flush_is_due(b)) {
		struct worker *w = b->idle;
		b->idle = w->next;
		start(b, w);
		b->until_flush -= b->args->flush_interval != 0;
	}
}

/* A flush comes after all writes of its interval have completed, so that it
 * covers them. */
static void flush_if_due(struct bench *b)
{
	if (b->code || b->in_flight || !flush_is_due(b))
		return;
	b->code = vhdx_blk_flush(b->blk, &b->err);
	b->flushes++;
	b->until_flush = b->args->flush_interval;
}

static uint64_t run(struct bench *b)
{
	uint64_t begin = now_ns();
	for (;;) {
		if (!b->code && intr_caught()) {
			b->code = VHDX_E_CANCELED;
			snprintf(b->err.text, sizeof(b->err.text),
				 "interrupted");
		}
		submit_ready(b);
		if (b->in_flight)
			vhdx_blk_turn(b->blk, -1);
		flush_if_due(b);
		if (!b->in_flight &&
		    (b->code || b->submitted == b->args->count))
			return now_ns() - begin;
	}
}

static const struct {
	const char *name;
	unsigned permille;
} quantiles[] = {
	{ "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 },
};

static void print_text(const struct bench *b, double seconds)
{
	char rate[OUT_SIZE_LEN], flushes[OUT_SIZE_LEN];
	uint64_t bytes = b->done * b->args->bs_len;
	printf("Run completed in %.3f seconds.\n", seconds);
	printf("%.0f IOPS, %s/s, %s\n", (double)b->done / seconds,
	       out_human((uint64_t)((double)bytes / seconds), rate),
	       out_count(b->flushes, "flush", "flushes", flushes));
	printf("latency in us: min %.1f, mean %.1f", (double)b->hist.min / 1e3,
	       (double)b->hist.sum / (double)b->hist.cnt / 1e3);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		printf(", %s %.1f", quantiles[i].name,
		       (double)hist_quantile(&b->hist, quantiles[i].permille) /
			       1e3);
	printf(", max %.1f\n", (double)b->hist.max / 1e3);
}

static json_t *to_json(const struct bench *b, double seconds)
{
	double bytes = (double)(b->done * b->args->bs_len);
	json_t *j = json_object();
	json_object_set_new(j, "operation", json_string(
		b->args->op == BENCH_READ ? "read" : "write"));
	json_object_set_new(j, "requests", out_u64(b->done));
	json_object_set_new(j, "request_length", out_u64(b->args->bs_len));
	json_object_set_new(j, "depth", out_u64(b->args->depth));
	json_object_set_new(j, "flushes", out_u64(b->flushes));
	json_object_set_new(j, "seconds", json_real(seconds));
	json_object_set_new(j, "iops", json_real((double)b->done / seconds));
	json_object_set_new(j, "bytes_per_second", json_real(bytes / seconds));
	json_t *lat = json_object();
	json_object_set_new(lat, "min", out_u64(b->hist.min));
	json_object_set_new(lat, "mean", out_u64(b->hist.sum / b->hist.cnt));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		json_object_set_new(lat, quantiles[i].name, out_u64(
			hist_quantile(&b->hist, quantiles[i].permille)));
	json_object_set_new(lat, "max", out_u64(b->hist.max));
	json_object_set_new(j, "latency_ns", lat);
	return j;
}

/* Fills the idle list. One buffer serves all requests: what is written does
 * not matter, only that it is not zeros. */
static struct worker *workers_new(struct bench *b, uint8_t **buf)
{
	const struct bench_args *a = b->args;
	struct worker *w = calloc((size_t)a->depth, sizeof(*w));
	/* Reads get one each: requests in flight may not share a target. */
	size_t cnt = a->op == BENCH_READ ? (size_t)a->depth : 1;
	size_t one = ((size_t)a->bs_len + 4095) / 4096 * 4096;
	*buf = aligned_alloc(4096, cnt * one);
	if (!w || !*buf) {
		free(w);
		free(*buf);
		return NULL;
	}
	memset(*buf, 0x5a, cnt * one);
	for (size_t i = 0; i < (size_t)a->depth; i++) {
		w[i].bench = b;
		w[i].iov.iov_base = *buf + (cnt == 1 ? 0 : i * one);
		w[i].iov.iov_len = (size_t)a->bs_len;
		w[i].next = b->idle;
		b->idle = &w[i];
	}
	return w;
}

static int bench(const char *path, struct vhdx_blk *blk,
		 const struct bench_args *a)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	struct bench *b = calloc(1, sizeof(*b));
	uint8_t *buf = NULL;
	struct worker *w = NULL;
	if (b) {
		b->args = a;
		b->blk = blk;
		b->size_len = g.size_len;
		b->next_voff = a->voff;
		b->random_state = a->seed;
		b->until_flush = a->flush_interval;
		w = workers_new(b, &buf);
	}
	if (!w) {
		free(b);
		return msg_fail(STATUS_FAILED, NULL, "out of memory");
	}
	double seconds = (double)run(b) / 1e9;
	int status = STATUS_OK;
	if (b->code == VHDX_E_CANCELED)
		status = msg_fail(STATUS_FAILED, NULL, "interrupted");
	else if (b->code)
		status = msg_err(path, &b->err);
	else if (a->json)
		status = out_json(to_json(b, seconds));
	else
		print_text(b, seconds);
	free(w);
	free(buf);
	free(b);
	return status;
}

static int check_args(const char *path, const struct vhdx_blk *blk,
		      struct bench_args *a)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	uint64_t len = a->bs_len;
	int status = img_check_aligned(path, blk, a->voff, a->bs_len);
	if (!status)
		status = img_check_range(path, blk, a->voff, &len);
	if (status)
		return status;
	if (a->step_len == OPT_NOT_GIVEN)
		a->step_len = a->bs_len;
	if (a->step_len % g.sector_len)
		return msg_usage("--step must be a multiple of the sector "
				 "size, %u", g.sector_len);
	return STATUS_OK;
}

static int check_limits(const struct bench_args *a)
{
	if (a->bs_len == 0 || a->bs_len > 64u << 20)
		return msg_usage("--bs: from one sector to 64M");
	if (a->depth == 0 || a->depth > 1024)
		return msg_usage("--depth: 1 to 1024");
	if (a->count == 0)
		return msg_usage("--count: at least 1");
	if (a->random && a->step_len != OPT_NOT_GIVEN)
		return msg_usage("--step and --random exclude each other");
	return STATUS_OK;
}

static int exec_bench(const struct cmd *c, int argc, char **argv)
{
	struct bench_args a = { .bs_len = 4096, .depth = 64, .count = 75000,
				.step_len = OPT_NOT_GIVEN, .seed = 1 };
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	status = check_limits(&a);
	if (status)
		return status;
	if (!intr_catch())
		return STATUS_FAILED;
	bool writes = a.op == BENCH_WRITE && !a.dry_run;
	if (a.op == BENCH_WRITE) {
		status = img_guard_children(pos[0], a.force, &a.search);
		if (status)
			return status;
	}
	unsigned flags = writes ? VHDX_OPEN_WRITE : 0;
	if (a.cache == CACHE_NONE)
		flags |= VHDX_OPEN_DIRECT;
	struct vhdx_blk *blk;
	status = img_open(pos[0], flags, VHDX_FORMAT_PROBE, &a.search, &blk);
	if (status)
		return status;
	status = check_args(pos[0], blk, &a);
	if (!status && a.dry_run)
		printf("would %s %ju times %ju bytes%s\n",
		       a.op == BENCH_READ ? "read" : "OVERWRITE",
		       (uintmax_t)a.count, (uintmax_t)a.bs_len,
		       a.random ? ", at random" : "");
	else if (!status)
		status = bench(pos[0], blk, &a);
	return img_close(pos[0], blk, status);
}

static const struct opt_choice ops[] = {
	{ "read", BENCH_READ }, { "write", BENCH_WRITE }, { NULL, 0 },
};

static const struct opt_choice caches[] = {
	{ "writeback", CACHE_WRITEBACK }, { "none", CACHE_NONE }, { NULL, 0 },
};

static const struct opt options[] = {
	{ "op", OPT_CHOICE, offsetof(struct bench_args, op), "OP",
	  "read (the default) or write", ops },
	{ "bs", OPT_SIZE, offsetof(struct bench_args, bs_len), "SIZE",
	  "bytes per request; 4096", NULL },
	{ "depth", OPT_COUNT, offsetof(struct bench_args, depth), "N",
	  "requests in flight; 64", NULL },
	{ "count", OPT_COUNT, offsetof(struct bench_args, count), "N",
	  "requests in all; 75000", NULL },
	{ "offset", OPT_SIZE, offsetof(struct bench_args, voff), "SIZE",
	  "where the first request goes", NULL },
	{ "step", OPT_SIZE, offsetof(struct bench_args, step_len), "SIZE",
	  "from one request to the next; else --bs", NULL },
	{ "random", OPT_FLAG, offsetof(struct bench_args, random), NULL,
	  "random places instead of steps", NULL },
	{ "seed", OPT_COUNT, offsetof(struct bench_args, seed), "N",
	  "of the random places; 1", NULL },
	{ "flush-interval", OPT_COUNT,
	  offsetof(struct bench_args, flush_interval), "N",
	  "write: wait and flush after every N requests", NULL },
	{ "cache", OPT_CHOICE, offsetof(struct bench_args, cache), "MODE",
	  "writeback: through the host's page cache (the default); none: "
	  "past it, where the host can", caches },
	{ "json", OPT_FLAG, offsetof(struct bench_args, json), NULL,
	  "for programs", NULL },
	{ "dry-run", OPT_FLAG, offsetof(struct bench_args, dry_run), NULL,
	  "only say what would be done", NULL },
	OPT_GUARD_FORCE(struct bench_args, force),
	OPT_SEARCH(struct bench_args, search),
	OPT_END
};

const struct cmd cmd_bench = {
	.name = "bench",
	.synopsis = "[OPTIONS] FILE",
	.brief = "measure the speed of requests to an image",
	.notes = "--op write OVERWRITES the content of the image.\n",
	.opts = options,
	.exec = exec_bench,
};
