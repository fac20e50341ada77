/* SPDX-License-Identifier: MIT */
/* A damaged VHD image: open, read, map; open for writing, write, close;
 * another parent. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct memimg img;

	fuzz_image(&in, VHDX_FORMAT_VHD, &img);
	(void)fuzz_read(&img, VHDX_FORMAT_VHD);
	(void)fuzz_read(&img, VHDX_FORMAT_PROBE);
	fuzz_write(&img, VHDX_FORMAT_VHD);
	fuzz_relink(&img, VHDX_FORMAT_VHD);
	memimg_free(&img);
	return 0;
}
