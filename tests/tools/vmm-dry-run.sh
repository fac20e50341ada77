#!/bin/bash
# SPDX-License-Identifier: MIT
# vmm run --dry-run looks at every file, changes none, and has the exit status
# that the real one would have; it needs no KVM.
. "$(dirname "$0")/vmm-lib.sh"

kernel
vhdtool create base.vhdx 64M >/dev/null
vhdtool create --parent base.vhdx child.avhdx >/dev/null
vhdtool create "a, b.vhdx" 8M >/dev/null
before=$(sum base.vhdx child.avhdx)
status 0 vmm run --dry-run --name web --cpus 2 --kernel bz --disk child.avhdx \
	--disk base.vhdx,ro --disk "a,, b.vhdx,controller=2"
says out "web: 512 MiB, 2 cpus"
says out "disk 0:0: $PWD/child.avhdx, 67108864 bytes"
says out "disk 0:1: $PWD/base.vhdx, 67108864 bytes, read-only"
says out "disk 2:0: $PWD/a, b.vhdx"
equal "untouched" "$(sum base.vhdx child.avhdx)" "$before"

mkdir conf
echo '{"kernel": "../bz", "disk": ["../child.avhdx"]}' >conf/vm.json
status 0 vmm run --dry-run conf/vm.json
says out "child.avhdx"

status 3 vmm run --dry-run --kernel gone
says err "kernel gone: No such file"
status 3 vmm run --dry-run --kernel bz --initrd gone
says err "initrd gone"
status 3 vmm run --dry-run --kernel bz --disk gone.vhdx
says err "gone.vhdx"
status 6 vmm run --dry-run --kernel bz --disk base.vhdx
says err "is the parent of"
status 0 vmm run --dry-run --kernel bz --disk base.vhdx,force
head -c 1M /dev/zero >nothing.vhdx
status 6 vmm run --dry-run --kernel bz --disk nothing.vhdx
says err "nothing.vhdx"
hold child.avhdx
status 4 vmm run --dry-run --kernel bz --disk child.avhdx
says err "child.avhdx"
says err "by process $holder"
release
mv base.vhdx moved.vhdx
status 3 vmm run --dry-run --kernel bz --disk child.avhdx
says err "base.vhdx"
