/* SPDX-License-Identifier: MIT */
#include "sim_path.h"

#include <string.h>

void sim_path_tidy(const char *path, char *out, size_t cap)
{
	size_t len = 0;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && memcmp(path, "..", 2) == 0) {
			while (len && out[--len] != '/')
				;
		} else if (n && !(n == 1 && *path == '.')) {
			ASSERT(len + n + 2 <= cap);
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n + (path[n] == '/');
	}
	out[len] = '\0';
}
