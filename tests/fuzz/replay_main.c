/* SPDX-License-Identifier: MIT */
/* Runs a harness over files, without libFuzzer: replay_NAME FILE... */
#include "fuzz.h"

static bool run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	static uint8_t buf[1 << 20];
	size_t len;

	if (!f) {
		perror(path);
		return false;
	}
	len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, len);
	return true;
}

int main(int argc, char **argv)
{
	bool good = true;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		good &= run_file(argv[i]);
	return good ? 0 : 1;
}
