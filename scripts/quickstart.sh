#!/bin/bash
# SPDX-License-Identifier: MIT
# `make quickstart`: builds, then shows the main job step by step, each command
# printed before it runs.
set -eu
"${MAKE:-make}" --no-print-directory -j"$(nproc)"

tree=$(pwd)
tour=$(mktemp -d "${TMPDIR:-/var/tmp}/vhdkit-tour-XXXXXX")
trap 'rm -rf "$tour"' EXIT
case ${B:=build/release} in /*) ;; *) B=$tree/$B ;; esac
PATH=$B/bin:$PATH
cd "$tour"

title() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# Prints the command, runs it, and stops the tour if it fails.
run()
{
	printf '\n$ %s\n' "$*"
	bash -c "$*"
}

# The same for a command that is to end with a certain status.
run_for()
{
	local want=$1 got=0
	shift
	printf '\n$ %s\n' "$*"
	bash -c "$*" || got=$?
	echo "(exit status $got)"
	[ "$got" = "$want" ]
}

title "A new disk: 64 TiB, and a few MiB on the host"
run "vhdtool create disk.vhdx 64T"
run "seq 200000 | vhdtool write --offset 5M disk.vhdx"
run "vhdtool read --offset 5M --length 16 disk.vhdx"
run "vhdtool info disk.vhdx"
run "vhdtool map disk.vhdx"
run "vhdtool check disk.vhdx"

images=
for dir in "$tree"/testdata "$tree"/../shared/testdata; do
	[ ! -d "$dir/hyperv-images" ] || images=$dir/hyperv-images
done
if [ -n "$images" ] && command -v bunzip2 >/dev/null; then
	title "A disk that Hyper-V left dirty: read as it is, then recovered"
	bunzip2 <"$images/iotest-dirtylog-10G-4M.vhdx.bz2" >server.vhdx
	run "sha256sum server.vhdx"
	run "vhdtool log show server.vhdx"
	run "vhdtool convert server.vhdx server.raw   # read-only: in memory"
	run "sha256sum server.vhdx                    # not a byte has changed"
	run "vhdtool log replay server.vhdx"
	run "vhdtool check server.vhdx"
	run "vhdtool compare server.vhdx server.raw"
else
	title "Converting"
	run "vhdtool create server.vhdx 10G"
	run "seq 3000000 | vhdtool write --offset 1G server.vhdx"
	run "vhdtool convert server.vhdx server.raw"
fi

title "To another format and back, with nothing lost"
run "vhdtool convert server.raw server.vhd"
run "vhdtool convert --block-size 1M server.vhd again.vhdx"
run "vhdtool compare --strict again.vhdx server.vhdx"
if command -v qemu-img >/dev/null; then
	run "qemu-img compare -f vhdx -F raw again.vhdx server.raw"
	run "qemu-img check again.vhdx"
fi

title "Damage: found, shown, mended"
run "printf XXXX | dd of=again.vhdx bs=1 seek=65636 conv=notrunc status=none"
run_for 6 "vhdtool check again.vhdx"
run "vhdtool check --repair again.vhdx"
run "vhdtool check again.vhdx"

title "Checkpoints: a chain, drawn, merged, made shorter, made larger"
run "mkdir vm"
run "vhdtool create vm/server.vhdx 4G"
run "seq 3000000 | vhdtool write --offset 1M vm/server.vhdx"
run "vhdtool create --parent vm/server.vhdx vm/monday.avhdx"
run "seq 9000 | vhdtool write --offset 2M vm/monday.avhdx"
run "vhdtool create --parent vm/monday.avhdx vm/now.avhdx"
run "echo patched | vhdtool write --offset 1G vm/now.avhdx"
run "vhdtool doctor vm"
run_for 6 "echo oops | vhdtool write vm/server.vhdx"
run "vhdtool convert vm/now.avhdx before.raw"
run "vhdtool merge --into vm/server.vhdx vm/now.avhdx"
run "vhdtool compact vm/server.vhdx"
run "vhdtool compare --strict vm/server.vhdx before.raw"
run "vhdtool resize vm/server.vhdx +1G"
run "vhdtool check vm/server.vhdx"

title "How fast"
run "vhdtool create fast.vhdx 1G"
run "vhdtool bench --op write --bs 64K --count 4000 --flush-interval 1000 fast.vhdx"
run "vhdtool bench --op read --random --count 100000 fast.vhdx"

title "That was it; more: vhdtool --help, README.md, man vhdtool"
