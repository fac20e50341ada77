#!/bin/bash
# SPDX-License-Identifier: MIT
# Sizes are bytes or binary units, and nothing that could be misread is taken.
. "$(dirname "$0")/lib.sh"

means() # WORD BYTES
{
	vhdtool create --dry-run a.raw "$1" >out
	says out "raw, $2"
}

means 4096 4096
means 64K 65536
means 2m 2097152
means 1GiB 1073741824
means 3T 3298534883328
means 0x1000 4096
means 0010240 10240
for word in "" K 1.5G 10KB 1KiBs 4096x 16777216T 99999999999999999999 \
	    "1 K" " 4096" 0x 1e6; do
	status 2 vhdtool create --dry-run a.raw "$word"
	says err "a size is"
done
