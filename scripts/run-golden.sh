#!/bin/sh
# SPDX-License-Identifier: MIT
# The damaged images and what check must say about each.
set -u
VHDTOOL=$(realpath "${B:=build/release}/bin/vhdtool")
export VHDTOOL
[ -x "$VHDTOOL" ] || { echo "vhdtool is not built"; exit 77; }
exec tests/golden/run.sh
