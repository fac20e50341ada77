# SPDX-License-Identifier: MIT
# Sourced by run.sh: guests, those of one round in one nested run
# (tests/nested/run.sh), so that only ratios say anything. A host that dies, as
# QEMU's software processor does now and then, takes its round with it, and
# another one is made. Boots to init against QEMU's microvm; fio in
# the guest against QEMU's virtio-blk on a copy of the same VHDX, and on qcow2;
# both programs as they come: two vCPUs and queues, the page cache, a thread for
# the disk.

# Made with the disks filled, so that nothing is measured but requests.
guest_disks()
{
	B=$build "$top/tests/nested/guest.sh" -f w >/dev/null &&
		qemu-img convert -f vhdx -O raw w/base.vhdx w/root.raw &&
		"$vhdtool" create --block-size 2M w/data.vhdx 128M >/dev/null &&
		"$vhdtool" bench --op write --bs 1M --count 128 w/data.vhdx \
			>/dev/null &&
		cp w/data.vhdx w/data2.vhdx &&
		qemu-img convert -f vhdx -O qcow2 w/data.vhdx w/data.qcow2 &&
		cp "$top/tests/nested/bench/guest.bash" w/
}

# guest_group WHAT TITLE WHO...: figures that are there already, as a table
guest_group()
{
	local what=$1 who
	group "$2"
	for who in "${@:3}"; do
		awk -v who="$who" -v what="$what" '$1 == "took" &&
			$2 == who && $3 == what {
			print "Run completed in", $4, "seconds" }' took \
			>"took.$who"
		variant "$who" "[ -s took.$who ]; sed -n '1p' took.$who; sed -i 1d took.$who"
	done
	end_group
}

# One round more than count, as everywhere.
guest_rounds()
{
	local q=/usr/share good=0 tries=0
	while ((good <= rounds && tries++ < 2 * rounds + 2)); do
		"$top/tests/nested/run.sh" -t 400 -m 3072 -w w \
			-f "$build/bin/vmm" -f "$(command -v bash)" \
			-f "$(command -v qemu-system-x86_64)" \
			-f $q/seabios -f $q/qemu -- bash guest.bash $good \
			>took.round 2>&1 &&
			[ "$(grep -c '^took' took.round)" = 14 ] ||
			{ cat took.round >>bench.log; continue; }
		grep '^took' took.round >>took
		good=$((good + 1))
	done
}

bench_guest()
{
	local job
	[ -x "$build/bin/vmm" ] && has qemu-system-x86_64 && has fio ||
		{ echo "left out: guest (vmm, qemu-system-x86 or fio)"; return; }
	rm -rf w took*
	guest_disks || { echo "guest: no images" >>bench.log; return; }
	guest_rounds
	guest_group boot "Boot to init" microvm ours
	row_ratio "boot to init, to QEMU's microvm" microvm ours 1.20 microvm
	for job in randread randwrite seqread seqwrite; do
		guest_group $job "fio $job in the guest" qemu-vhdx qemu-qcow2 \
			ours
		row_ratio "guest: $job, to QEMU on the same vhdx" qemu-vhdx \
			ours 1.00 qemu-vhdx qemu-qcow2
	done
	rm -rf w took*
}
