#!/bin/bash
# SPDX-License-Identifier: MIT
# What keeps vmm run from starting is told before anything starts: a disk that
# is busy, damaged, missing, or a parent; then KVM, and what it lacks.
. "$(dirname "$0")/vmm-lib.sh"

kernel
run() { vmm run --kernel bz --console none "$@"; }
vhdtool create base.vhdx 64M >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool create other.vhdx 64M >/dev/null

status 3 vmm run --kernel gone --disk other.vhdx
says err "kernel gone"
status 3 run --disk gone.vhdx
says err "gone.vhdx"
status 6 run --disk base.vhdx
says err "child.avhdx"
status 4 run --disk child.avhdx --disk base.vhdx,force
says err "base.vhdx"
hold other.vhdx
status 4 run --disk child.avhdx --disk other.vhdx
says err "by process $holder"
release
sound child.avhdx other.vhdx
dd if=/dev/urandom of=other.vhdx bs=64K count=32 conv=notrunc status=none
status 6 run --disk other.vhdx
says err "other.vhdx"

# A guest with an empty kernel cannot run; up to there KVM may be in the way.
before=$(sum child.avhdx)
got=0
run --disk child.avhdx 2>err || got=$?
[ $got = 1 ] || [ $got = 3 ] || { cat err; fail "exit status $got"; }
grep -qE "KVM|/dev/kvm|kernel|bzImage|bz:" err ||
	{ cat err; fail "not told why"; }
sound child.avhdx
equal "untouched" "$(sum child.avhdx)" "$before"
