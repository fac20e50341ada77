/* SPDX-License-Identifier: MIT */
#include "t_sample.h"

#include <string.h>

#include "t.h"

bool t_sample(const char *name, struct memimg *out)
{
	static uint8_t buf[65536];
	char cmd[600];
	const char *path;
	uint64_t off = 0;
	FILE *p;
	size_t n;

	snprintf(cmd, sizeof(cmd), "testdata/hyperv-images/%s.bz2", name);
	path = t_shared(cmd);
	if (!path) {
		printf("(no %s: passed over) ", name);
		return false;
	}
	snprintf(cmd, sizeof(cmd), "bunzip2 -c %s", path);
	p = popen(cmd, "r");
	T_TRUE(p != NULL);
	for (; (n = fread(buf, 1, sizeof(buf), p)) > 0; off += n)
		if (buf[0] || memcmp(buf, buf + 1, n - 1) != 0)
			memimg_write(out, off, buf, n);
	T_TRUE(pclose(p) == 0);
	memimg_resize(out, off);
	return true;
}
