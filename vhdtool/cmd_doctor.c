/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <sys/stat.h>

#include "cmd.h"
#include "doctor.h"
#include "intr.h"
#include "out.h"

static int look(const struct doctor_args *a, json_t *done)
{
	struct doctor d;
	int status = doctor_find(&d, a, true);
	if (!status)
		status = doctor_find_merges(&d);
	if (status) {
		json_decref(done);
		doctor_free(&d);
		return status;
	}
	if (a->json)
		status = doctor_print_json(&d, done);
	else
		doctor_print(&d);
	if (!status && d.errors)
		status = STATUS_INTEGRITY;
	doctor_free(&d);
	return status;
}

static int exec_doctor(const struct cmd *c, int argc, char **argv)
{
	struct doctor_args a = { 0 };
	const char *folders[DOCTOR_PATHS_MAX], *files[DOCTOR_PATHS_MAX];
	char **pos;
	int cnt;
	int status = opt_parse(c, &a, argc, argv, 1, DOCTOR_PATHS_MAX, &pos,
			       &cnt);
	if (status != OPT_GO)
		return status;
	a.folders = folders;
	a.files = files;
	for (int i = 0; i < cnt; i++) {
		struct stat st;
		if (stat(pos[i], &st) == 0 && !S_ISDIR(st.st_mode))
			files[a.file_cnt++] = pos[i];
		else
			folders[a.folder_cnt++] = pos[i];
	}
	json_t *done = NULL;
	if (a.apply) {
		if (!intr_catch())
			return STATUS_FAILED;
		done = a.json ? json_array() : NULL;
		status = doctor_mend(&a, done);
		if (status || intr_caught()) {
			json_decref(done);
			return status ? status : STATUS_FAILED;
		}
	}
	return look(&a, done);
}

static const struct opt options[] = {
	{ "recursive", OPT_FLAG, offsetof(struct doctor_args, recursive), NULL,
	  "subfolders as well", NULL },
	OPT_SEARCH(struct doctor_args, search),
	{ "apply", OPT_FLAG, offsetof(struct doctor_args, apply), NULL,
	  "mend what is safe, then look again", NULL },
	OPT_JSON(struct doctor_args, json),
	OPT_END
};

const struct cmd cmd_doctor = {
	.name = "doctor",
	.synopsis = "[OPTIONS] DIR...",
	.brief = "find what is wrong with a folder of images, and how to "
		 "mend it",
	.notes = "Draws every chain, from the base to its children, with the "
		 "health of each image,\nand prints for each problem the "
		 "command that mends it. --apply runs the safe\nones: dirty "
		 "logs are replayed, merges that were cut off are finished, "
		 "and children\nlearn where their parent went. Nothing else "
		 "changes a byte.\nExit status 0: all is well, or there are "
		 "only warnings; 6: there are errors.\n",
	.opts = options,
	.exec = exec_doctor,
};
