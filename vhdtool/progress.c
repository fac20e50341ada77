/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "opt.h"
#include "out.h"
#include "progress.h"

#define INTERVAL_MS 200

const struct opt_choice progress_modes[] = {
	{ "auto", PROGRESS_AUTO },
	{ "none", PROGRESS_NONE },
	{ "json", PROGRESS_JSON },
	{ NULL, 0 },
};

static struct {
	enum { OFF, LINE, JSON } kind;
	bool drawn;
	const char *what;
	uint64_t done, total;
	uint64_t begin_ms, last_ms;
} p;

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void progress_begin(enum progress_mode mode, const char *what, uint64_t total)
{
	p.kind = OFF;
	if (mode == PROGRESS_JSON)
		p.kind = JSON;
	else if (mode == PROGRESS_AUTO && isatty(STDERR_FILENO))
		p.kind = LINE;
	p.what = what;
	p.done = 0;
	p.total = total;
	p.begin_ms = p.last_ms = now_ms();
}

void progress_clear(void)
{
	if (p.drawn)
		fputs("\r\033[K", stderr);
	p.drawn = false;
}

static void draw_line(uint64_t now)
{
	char done[OUT_SIZE_LEN], total[OUT_SIZE_LEN], rate[OUT_SIZE_LEN];
	double seconds = (double)(now - p.begin_ms) / 1000;
	double speed = seconds > 0 ? (double)p.done / seconds : 0;
	double percent = p.total ? 100.0 * (double)p.done / (double)p.total
				 : 100.0;
	fprintf(stderr, "\r\033[K%s: %5.1f %%, %s of %s, %s/s", p.what, percent,
		out_human(p.done, done), out_human(p.total, total),
		out_human((uint64_t)speed, rate));
	if (speed > 0 && p.done < p.total)
		fprintf(stderr, ", %.0f s left",
			(double)(p.total - p.done) / speed);
	fflush(stderr);
	p.drawn = true;
}

static void report(uint64_t now)
{
	p.last_ms = now;
	if (p.kind == LINE)
		draw_line(now);
	else
		fprintf(stderr,
			"{\"progress\": {\"job\": \"%s\", \"done\": %" PRIu64
			", \"total\": %" PRIu64 ", \"elapsed_ms\": %" PRIu64
			"}}\n", p.what, p.done, p.total, now - p.begin_ms);
}

void progress_update(uint64_t done)
{
	p.done = done;
	if (p.kind == OFF)
		return;
	uint64_t now = now_ms();
	if (now - p.last_ms >= INTERVAL_MS)
		report(now);
}

void progress_told(enum progress_mode mode, const char *what, uint64_t done,
		   uint64_t total)
{
	static uint64_t told_total;
	if (total != told_total)
		progress_begin(mode, what, total);
	told_total = total;
	progress_update(done);
}

void progress_end(bool complete)
{
	if (complete && p.kind != OFF) {
		p.done = p.total;
		report(now_ms());
	}
	if (p.kind == LINE && p.drawn)
		progress_clear();
	p.kind = OFF;
}

int progress_tick_ms(void)
{
	return p.kind == OFF ? -1 : INTERVAL_MS;
}
