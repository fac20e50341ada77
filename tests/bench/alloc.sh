# SPDX-License-Identifier: MIT
# Sourced by run.sh: writes to blocks that are not there yet, past the page
# cache, beside a sparse raw file by its fastest way. Every file is new.


# Of disks of $alloc_size.
# alloc_variants OPTIONS QOPTIONS: for "bench" of vhdtool and of qemu-img
alloc_variants()
{
	local b new="$vhdtool bench --cache none --op write $1" q
	# Of the files before, nothing may be left to be done by the host.
	local clean="rm -f e.*; sync -f ."
	variant "raw, vhdtool" "$new e.raw" "$clean; truncate -s $alloc_size e.raw"
	for b in 1M 16M; do
		variant "vhdx $b, vhdtool" "$new e.vhdx" \
			"$clean; $vhdtool create --block-size $b e.vhdx $alloc_size"
	done
	has qemu-img || return 0
	q="qemu-img bench -t none -i native -w $2"
	variant "raw, qemu-img" "$q -f raw e.raw" "$clean; truncate -s $alloc_size e.raw"
	for b in 1M 16M; do
		variant "qemu-img vhdx $b" "$q -f vhdx e.vhdx" \
			"$clean; qemu-img create -q -f vhdx -o block_size=$b e.vhdx $alloc_size"
	done
	variant "qemu-img qcow2" "$q -f qcow2 e.qcow2" \
		"$clean; qemu-img create -q -f qcow2 e.qcow2 $alloc_size"
}

# alloc_rows WORK
alloc_rows()
{
	local b raw
	raw=$(fastest "raw, vhdtool" "raw, qemu-img")
	for b in 1M 16M; do
		row_ratio "$1, blocks of $b, to raw" "$raw" "vhdx $b, vhdtool" \
			1.3 "qemu-img vhdx $b" "qemu-img qcow2"
	done
}

bench_alloc()
{
	local cnt step
	alloc_size=16G
	cnt=$(scaled 2000 64)
	group "allocating: $cnt x 64 KiB, one per MiB, depth 16, direct"
	alloc_variants "--bs 64K --step 1M --depth 16 --count $cnt" \
		"-s 64K -S 1M -d 16 -c $cnt"
	end_group
	alloc_rows "64 KiB per MiB, depth 16"

	cnt=$(scaled 10000 64)
	# qemu-img has no steps of 2 GiB and more.
	alloc_size=4G
	step=$(odd_step $((4 << 30)) 4096)
	group "allocating: $cnt x 4 KiB, scattered, depth 16, direct"
	alloc_variants "--bs 4K --step $step --depth 16 --count $cnt" \
		"-s 4K -S $step -d 16 -c $cnt"
	end_group
	alloc_rows "4 KiB scattered, depth 16"

	alloc_size=16G
	cnt=$(scaled 500 32)
	group "allocating: $cnt x 64 KiB, one per MiB, a flush after each, direct"
	alloc_variants "--bs 64K --step 1M --depth 1 --flush-interval 1 --count $cnt" \
		"-s 64K -S 1M -d 1 --flush-interval=1 -c $cnt"
	end_group
	alloc_rows "64 KiB and a flush each"
	rm -f e.*
}
