#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make bench` measures beside checksums, ours and the peers that are
# installed in turns, in one run; at the end one table of all targets.
# docs/performance.md says what the figures mean.
#	run.sh [PART]...	all, if none is named:
#	  steady   allocated blocks: vhdx to raw, by size, depth and cache
#	  alloc    writes that allocate
#	  convert  raw and vhdx into each other
#	  huge     create, open, read, write and map 64 TiB
#	  cpu      processor time per request
#	  fuse     a mounted image
#	  guest    guests of vmm and of QEMU, on a host made by QEMU
#	  reads, merge, space, compact   chains and what else issue 3 measured
#	BENCH_ROUNDS	timed rounds (5), after one to warm up
#	BENCH_DIR	a folder on the file system to be measured ($TMPDIR or
#			/var/tmp); takes up to 14 GiB, all of it given back
#	BENCH_MIB	how much is done (1024). BENCH_MIB=32 BENCH_ROUNDS=1
#			tries all of it in a minute or two; its figures are none
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$top/build/${VARIANT:-release}
rounds=${BENCH_ROUNDS:-5}
mib=${BENCH_MIB:-1024}
vhdtool=$(realpath "${VHDTOOL:-$build/bin/vhdtool}")
cost=$build/tests/bench/cost
fillbat=$build/tests/bench/fillbat
parts="steady alloc convert huge cpu fuse guest reads merge space compact"
dir=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/var/tmp}}/vhdkit-bench.XXXXXX")
trap 'cd /; rm -rf "$dir"' EXIT
trap 'final_table; exit 1' INT TERM HUP
cd "$dir"
for part in lib steady alloc convert huge fuse guest chains compact; do
	. "$top/tests/bench/$part.sh"
done
export LC_ALL=C vhdtool mib
qaio=threads # how qemu-img gets through the page cache

# scaled N [LEAST]: N at 1024 MiB
scaled()
{
	local n=$(($1 * mib / 1024)) least=${2:-16}
	echo $((n > least ? n : least))
}

# odd_step LEN UNIT: 0.382 of LEN, an odd number of units: comes by everywhere
odd_step() { echo $((($1 / $2 * 382 / 1000 | 1) * $2)); }

machine()
{
	echo "machine: $(nproc) x $(awk -F ': *' '/model name/ { print $2; exit }' /proc/cpuinfo)," \
		"$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)," \
		"$(df --output=fstype . | tail -n 1), Linux $(uname -r)"
	if has qemu-img; then
		qemu-img --version | head -n 1
		truncate -s 1M probe.raw
		! qemu-img bench -f raw -t writeback -i io_uring -c 1 probe.raw \
			>/dev/null 2>&1 || qaio=io_uring
		rm probe.raw
	fi
	has qemu-img || echo "left out: qemu-img (qemu-utils)"
	has vhdiinfo || echo "left out: vhdiinfo (libvhdi-utils)"
	has fio || echo "left out: fio"
	echo "$rounds rounds, $mib MiB; load before: $(cut -d ' ' -f 1-3 /proc/loadavg)"
}

[ -x "$vhdtool" ] || { echo "no vhdtool at $vhdtool"; exit 1; }
machine
[ $# -gt 0 ] && [ "$*" != all ] || set -- $parts
for what; do
	case " $parts " in
	*" $what "*) bench_$what ;;
	*) echo "no bench is called $what"; exit 2 ;;
	esac
done
final_table
echo
echo "load after: $(cut -d ' ' -f 1-3 /proc/loadavg)"
if [ -s bench.log ]; then
	echo "what failed:"
	cat bench.log
	exit 1
fi
