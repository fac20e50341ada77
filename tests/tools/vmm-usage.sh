#!/bin/bash
# SPDX-License-Identifier: MIT
# vmm refuses a wrong command line or file with status 2, and names what is
# wrong and what there is.
. "$(dirname "$0")/vmm-lib.sh"

vmm --version >out
says out "vmm 0."
for verb in "" "run" "ctl"; do
	# shellcheck disable=SC2086 # none, or one
	status 0 vmm $verb --help
	says out "Usage: vmm"
done
status 2 vmm
says err "vmm --help"
status 2 vmm start
status 2 vmm run
says err "--kernel"
status 2 vmm run --kernel bz --colour red
says err "--colour"
status 2 vmm run --kernel bz --memory lots
says err "memory 'lots'"
status 2 vmm run --kernel bz --disk a,rw
says err "'rw'"
status 2 vmm run --kernel bz --disk a,lun=1 --disk b,lun=1
says err "is that of a"
status 2 vmm run a.json b.json
status 2 vmm ctl
says err "vmm ctl --help"
status 2 vmm ctl sock fly
says err "fly"
status 2 vmm ctl sock add-disk

echo '{"kernel": "bz", "colour": "red"}' >vm.json
status 2 vmm run vm.json
says err 'vm.json: unknown key "colour"'
echo '{"kernel": "bz",' >vm.json
status 2 vmm run vm.json
says err "vm.json: line "
status 3 vmm run gone.json
says err "gone.json"
says_not err "?"
