/* SPDX-License-Identifier: MIT */
/*
 * vhdtool: the command line of libvhdx. Finds the command, runs it, and makes
 * sure that what was printed has arrived.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "intr.h"
#include "out.h"
#include "progress.h"

#ifndef VHDKIT_VERSION
#define VHDKIT_VERSION "0.1"
#endif

static const struct cmd *const commands[] = {
	&cmd_create,  &cmd_info,    &cmd_check,	 &cmd_repair,
	&cmd_doctor,  &cmd_log,	    &cmd_map,	 &cmd_read,
	&cmd_write,   &cmd_convert, &cmd_merge,	 &cmd_compact,
	&cmd_resize,  &cmd_set,	    &cmd_set_parent, &cmd_compare,
	&cmd_discard, &cmd_bench,   NULL,
};

static void print_help(void)
{
	printf("Usage: vhdtool COMMAND [OPTIONS] ...\n\n"
	       "Creates, reads, writes, checks, recovers, converts, merges and "
	       "resizes VHD and VHDX disk images.\n\nCommands:\n");
	cmd_list(commands);
	printf("\nA command may be shortened as long as it stays unique. "
	       "Sizes: 4096, 64K, 2M, 1G, 64T.\n"
	       "Help on one command: vhdtool COMMAND --help\n\n"
	       "Exit status: 0 ok, 1 failed (compare: different), 2 usage, "
	       "3 not found,\n4 busy, 5 no space, 6 damaged or not fit to be "
	       "used as it is.\n");
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		say_usage("a command must follow; see: vhdtool --help");
		return STATUS_USAGE;
	}
	const char *verb = argv[1];
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
		print_help();
		return STATUS_OK;
	}
	if (strcmp(verb, "--version") == 0) {
		printf("vhdtool %s\n", VHDKIT_VERSION);
		return STATUS_OK;
	}
	if (strcmp(verb, "help") == 0) {
		if (argc == 2) {
			print_help();
			return STATUS_OK;
		}
		char *help[] = { argv[2], (char []){ "--help" }, NULL };
		return cmd_run(commands, "vhdtool", 2, help);
	}
	if (verb[0] == '-')
		return say_usage("unknown option %s; see: vhdtool --help",
				 verb);
	return cmd_run(commands, "vhdtool", argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	/* A closed pipe is to be an error message, not a silent death. */
	signal(SIGPIPE, SIG_IGN);
	say_init("vhdtool", progress_clear);
	int status = out_close(run(argc, argv));
	intr_finish();
	return status;
}
