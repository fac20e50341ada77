/* SPDX-License-Identifier: MIT */
/* A damaged VHD image under check and repair, both held to their word. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz_in in = { data, len };
	struct memimg img;

	fuzz_image(&in, VHDX_FORMAT_VHD, &img);
	fuzz_check(&img, VHDX_FORMAT_VHD);
	fuzz_repair(&img, VHDX_FORMAT_VHD);
	memimg_free(&img);
	return 0;
}
