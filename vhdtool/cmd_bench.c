/* SPDX-License-Identifier: MIT */
/*
 * bench: what bench.c is told to do, and how its result is shown. Opening and
 * closing the image are outside the time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "bench.h"
#include "cmd.h"
#include "img.h"
#include "intr.h"
#include "out.h"

enum { CACHE_WRITEBACK, CACHE_NONE };

#define DEPTH_MAX 1024u

struct bench_args {
	struct opt_list search;
	struct bench_plan plan;
	int op;
	int cache;
	bool json;
	bool force;
	bool dry_run;
};

static const struct {
	const char *name;
	unsigned permille;
} quantiles[] = {
	{ "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99.9", 999 },
};

/* What the process has used so far. */
struct usage {
	double user, sys;
};

static struct usage usage_now(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (struct usage){
		(double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
		(double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6,
	};
}

static double rate(uint64_t amount, double seconds)
{
	return seconds > 0 ? (double)amount / seconds : 0;
}

static void print_text(const struct bench_plan *p,
		       const struct bench_result *r, const struct usage *cpu)
{
	char bandwidth[OUT_SIZE_LEN], flushes[OUT_SIZE_LEN];
	double seconds = (double)r->ns / 1e9;
	printf("Run completed in %.6f seconds.\n", seconds);
	printf("%.0f IOPS, %s/s, %s\n", rate(r->done, seconds),
	       out_human((uint64_t)rate(r->done * p->bs_len, seconds),
			 bandwidth),
	       out_count(r->flushes, "flush", "flushes", flushes));
	printf("latency in us: min %.1f, mean %.1f", (double)r->hist.min / 1e3,
	       (double)r->hist.sum / (double)r->hist.cnt / 1e3);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		printf(", %s %.1f", quantiles[i].name,
		       (double)hist_quantile(&r->hist, quantiles[i].permille) /
			       1e3);
	printf(", max %.1f\n", (double)r->hist.max / 1e3);
	printf("processor: %.3f s user, %.3f s system, %.2f us per request\n",
	       cpu->user, cpu->sys,
	       (cpu->user + cpu->sys) * 1e6 / (double)r->done);
}

static json_t *latency_json(const struct hist *h)
{
	json_t *j = json_object();
	json_object_set_new(j, "min", out_u64(h->min));
	json_object_set_new(j, "mean", out_u64(h->sum / h->cnt));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		json_object_set_new(j, quantiles[i].name, out_u64(
			hist_quantile(h, quantiles[i].permille)));
	json_object_set_new(j, "max", out_u64(h->max));
	return j;
}

/* The manual page lists these; programs rely on them. */
static json_t *to_json(const struct bench_args *a,
		       const struct bench_result *r, const struct usage *cpu)
{
	const struct bench_plan *p = &a->plan;
	double seconds = (double)r->ns / 1e9;
	json_t *j = json_object();
	json_object_set_new(j, "operation", json_string(
		p->op == VHDX_OP_READ ? "read" : "write"));
	json_object_set_new(j, "cache", json_string(
		a->cache == CACHE_NONE ? "none" : "writeback"));
	json_object_set_new(j, "requests", out_u64(r->done));
	json_object_set_new(j, "request_length", out_u64(p->bs_len));
	json_object_set_new(j, "depth", out_u64(p->depth));
	json_object_set_new(j, "threads", out_u64(p->threads));
	json_object_set_new(j, "offset", out_u64(p->voff));
	json_object_set_new(j, "step", p->random ? json_null()
						 : out_u64(p->step_len));
	json_object_set_new(j, "flushes", out_u64(r->flushes));
	json_object_set_new(j, "seconds", json_real(seconds));
	json_object_set_new(j, "iops", json_real(rate(r->done, seconds)));
	json_object_set_new(j, "bytes_per_second", json_real(
		rate(r->done * p->bs_len, seconds)));
	json_object_set_new(j, "latency_ns", latency_json(&r->hist));
	json_object_set_new(j, "user_seconds", json_real(cpu->user));
	json_object_set_new(j, "system_seconds", json_real(cpu->sys));
	return j;
}

static int bench(const char *path, struct vhdx_blk *blk,
		 const struct bench_args *a)
{
	struct bench_result *r = malloc(sizeof(*r));
	struct vhdx_err err;
	if (!r)
		return say_fail(STATUS_FAILED, NULL, "out of memory");
	struct usage cpu = usage_now();
	int code = bench_run(blk, &a->plan, r, &err), status = STATUS_OK;
	struct usage end = usage_now();
	cpu = (struct usage){ end.user - cpu.user, end.sys - cpu.sys };
	if (code == VHDX_E_CANCELED)
		status = say_fail(STATUS_FAILED, NULL, "interrupted");
	else if (code)
		status = msg_err(path, &err);
	else if (a->json)
		status = out_json(to_json(a, r, &cpu));
	else
		print_text(&a->plan, r, &cpu);
	free(r);
	return status;
}

static int check_args(const char *path, const struct vhdx_blk *blk,
		      struct bench_args *a)
{
	struct vhdx_geometry g;
	vhdx_blk_geometry(blk, &g);
	uint64_t len = a->plan.bs_len;
	int status = img_check_aligned(path, blk, a->plan.voff, a->plan.bs_len);
	if (!status)
		status = img_check_range(path, blk, a->plan.voff, &len);
	if (status)
		return status;
	if (a->plan.step_len == OPT_NOT_GIVEN)
		a->plan.step_len = a->plan.bs_len;
	if (a->plan.step_len % g.sector_len)
		return say_usage("--step must be a multiple of the sector "
				 "size, %u", g.sector_len);
	return STATUS_OK;
}

static int check_limits(const struct bench_args *a)
{
	if (a->plan.bs_len == 0 || a->plan.bs_len > 64u << 20)
		return say_usage("--bs: from one sector to 64M");
	if (a->plan.depth == 0 || a->plan.depth > DEPTH_MAX)
		return say_usage("--depth: 1 to %u", DEPTH_MAX);
	if (a->plan.cnt == 0)
		return say_usage("--count: at least 1");
	if (a->plan.threads > a->plan.depth)
		return say_usage("--threads: at most --depth");
	if (a->plan.random && a->plan.step_len != OPT_NOT_GIVEN)
		return say_usage("--step and --random exclude each other");
	return STATUS_OK;
}

static int exec_bench(const struct cmd *c, int argc, char **argv)
{
	struct bench_args a = {
		.op = VHDX_OP_READ,
		.plan = { .bs_len = 4096, .depth = 64, .cnt = 75000,
			  .step_len = OPT_NOT_GIVEN, .seed = 1 },
	};
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, 1, &pos, &cnt);
	if (status != OPT_GO)
		return status;
	a.plan.op = (enum vhdx_op)a.op;
	status = check_limits(&a);
	if (status)
		return status;
	if (!intr_catch())
		return STATUS_FAILED;
	bool writes = a.op == VHDX_OP_WRITE && !a.dry_run;
	if (a.op == VHDX_OP_WRITE) {
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
		       a.op == VHDX_OP_READ ? "read" : "OVERWRITE",
		       (uintmax_t)a.plan.cnt, (uintmax_t)a.plan.bs_len,
		       a.plan.random ? ", at random" : "");
	else if (!status)
		status = bench(pos[0], blk, &a);
	return img_close(pos[0], blk, status);
}

static const struct opt_choice ops[] = {
	{ "read", VHDX_OP_READ }, { "write", VHDX_OP_WRITE }, { NULL, 0 },
};

static const struct opt_choice caches[] = {
	{ "writeback", CACHE_WRITEBACK }, { "none", CACHE_NONE }, { NULL, 0 },
};

static const struct opt options[] = {
	{ "op", OPT_CHOICE, offsetof(struct bench_args, op), "OP",
	  "read (the default) or write", ops },
	{ "bs", OPT_SIZE, offsetof(struct bench_args, plan.bs_len), "SIZE",
	  "bytes per request; 4096", NULL },
	{ "depth", OPT_COUNT, offsetof(struct bench_args, plan.depth), "N",
	  "requests in flight; 64", NULL },
	{ "count", OPT_COUNT, offsetof(struct bench_args, plan.cnt), "N",
	  "requests in all; 75000", NULL },
	{ "offset", OPT_SIZE, offsetof(struct bench_args, plan.voff), "SIZE",
	  "where the first request goes", NULL },
	{ "step", OPT_SIZE, offsetof(struct bench_args, plan.step_len), "SIZE",
	  "from one request to the next; else --bs", NULL },
	{ "random", OPT_FLAG, offsetof(struct bench_args, plan.random), NULL,
	  "random places instead of steps", NULL },
	{ "seed", OPT_COUNT, offsetof(struct bench_args, plan.seed), "N",
	  "of the random places; 1", NULL },
	{ "flush-interval", OPT_COUNT,
	  offsetof(struct bench_args, plan.flush_interval), "N",
	  "write: wait and flush after every N requests", NULL },
	{ "threads", OPT_COUNT, offsetof(struct bench_args, plan.threads), "N",
	  "that submit; else the one that completes does", NULL },
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
