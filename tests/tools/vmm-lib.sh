# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the tests of vmm that need no guest: the helpers of lib.sh, and
#	kernel		makes bz, which is no more than readable
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VMM=$(dirname "$VHDTOOL")/vmm
[ -x "$VMM" ] || skip "vmm is not built (x86-64, libjansson-dev, acpica-tools)"

vmm() { timeout 60 "$VMM" "$@" </dev/null; }

kernel() { head -c 4096 /dev/zero >bz; }
