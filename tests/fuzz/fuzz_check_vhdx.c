/* SPDX-License-Identifier: MIT */
/* A damaged VHDX image under check and repair, both held to their word. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct memimg img;

	fuzz_image(&in, VHDX_FORMAT_VHDX, &img);
	fuzz_check(&img, VHDX_FORMAT_VHDX);
	fuzz_repair(&img, VHDX_FORMAT_VHDX);
	memimg_free(&img);
	return 0;
}
