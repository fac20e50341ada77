/* SPDX-License-Identifier: MIT */
/* damage IMAGE SCRIPT: runs a script of tests/lib/damage.h on a file, which is
 * made if it is not there. */
#include "damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (!f || !text || fread(text, 1, 65535, f) == 0) {
		fprintf(stderr, "damage: cannot read %s\n", path);
		exit(1);
	}
	fclose(f);
	return text;
}

int main(int argc, char **argv)
{
	struct vhdx_err err;
	struct damage d;
	struct loop *l;
	struct file *f;
	char *script;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: damage IMAGE SCRIPT\n");
		return 2;
	}
	guid_seed_for_tests(1); /* checksums are part of what is expected */
	script = slurp(argv[2]);
	rc = loop_new(&l, &err);
	if (!rc)
		rc = opener_default.open(&opener_default, l, argv[1],
					 OPENER_WRITE |
					 (access(argv[1], F_OK) ?
						  OPENER_CREATE : 0), &f,
					 &err);
	if (!rc)
		rc = damage_begin(&d, f, &err);
	if (!rc)
		rc = damage_run(&d, script, &err);
	if (rc) {
		fprintf(stderr, "damage: %s: %s\n", argv[2], err.text);
		return 1;
	}
	file_close(f);
	loop_free(l);
	free(script);
	return 0;
}
