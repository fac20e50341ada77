#!/bin/sh
# SPDX-License-Identifier: MIT
# The damaged images and what check must say about each. 77: not there yet.
[ -x tests/golden/run.sh ] || { echo "no golden cases"; exit 77; }
VHDTOOL=$(pwd)/$B/bin/vhdtool
export VHDTOOL
[ -x "$VHDTOOL" ] || { echo "vhdtool is not built"; exit 77; }
exec tests/golden/run.sh
