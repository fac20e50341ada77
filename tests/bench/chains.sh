# SPDX-License-Identifier: MIT
# Sourced by run.sh: deep chains, merge, and the space small writes take.

# ---- reads -----------------------------------------------------------------

# Base full of data, of tower_mib; 64 writes of 64 KiB in each layer, at random.
vhdx_tower()
{
	local i
	"$vhdtool" create --block-size 2M c0.vhdx ${tower_mib}M
	"$vhdtool" bench --op write --bs 1M --count $tower_mib c0.vhdx
	for ((i = 1; i <= 32; i++)); do
		"$vhdtool" create --type differencing --parent c$((i - 1)).vhdx \
			c$i.vhdx
		"$vhdtool" bench --op write --bs 64K --count 64 --random \
			--seed $i c$i.vhdx
	done
} >/dev/null

qcow2_tower()
{
	local i
	qemu-img create -f qcow2 c0.qcow2 ${tower_mib}M
	qemu-img bench -f qcow2 -t writeback -w -s 1M -c $tower_mib c0.qcow2
	for ((i = 1; i <= 32; i++)); do
		qemu-img create -f qcow2 -F qcow2 -b c$((i - 1)).qcow2 c$i.qcow2
		qemu-img bench -f qcow2 -t writeback -w -s 64K -c 64 \
			-o $((i * 327680)) \
			-S $(odd_step $((tower_mib << 20)) 65536) c$i.qcow2
	done
} >/dev/null

bench_reads()
{
	local stride d many few tower_mib=$((mib > 128 ? mib : 128))
	stride=$(odd_step $((tower_mib << 20)) 4096)
	many=$(scaled 300000 1000) few=$(scaled 30000 1000)
	vhdx_tower
	group "4 KiB reads at random, page cache, 16 in flight"
	for d in 1 0 32; do
		variant "vhdx, $d below" \
			"$vhdtool bench --random --count $many --depth 16 c$d.vhdx"
	done
	end_group
	group "4 KiB reads all over the disk in even steps, page cache, 16 in flight"
	for d in 1 32; do
		variant "vhdx, $d below" \
			"$vhdtool bench --step $stride --count $many --depth 16 c$d.vhdx"
	done
	if has qemu-img; then
		qcow2_tower
		for d in 1 32; do
			variant "qcow2, $d below" \
				"qemu-img bench -f qcow2 -t writeback -i io_uring -d 16 -s 4096 -S $stride -c $((many / 3)) c$d.qcow2" \
				"" "qcow2, 1 below"
		done
	fi
	end_group
	group "4 KiB reads all over the disk in even steps, past the page cache, 16 in flight"
	for d in 1 32; do
		variant "vhdx, $d below" \
			"$vhdtool bench --cache none --step $stride --count $few --depth 16 c$d.vhdx"
	done
	if has qemu-img; then
		for d in 1 32; do
			variant "qcow2, $d below" \
				"qemu-img bench -f qcow2 -t none -i native -d 16 -s 4096 -S $stride -c $few c$d.qcow2" \
				"" "qcow2, 1 below"
		done
	fi
	end_group
	rm -f c*.vhdx c*.qcow2
}

# ---- merge -----------------------------------------------------------------

# A base of 4 GiB (for 1024 MiB) with data here and there; over it that many
# MiB in pieces of 64 KiB, in an order without neighbours.
bench_merge()
{
	local cnt=$((mib * 16)) size=$((mib * 4)) qprep
	# Apart, or the originals would count as children of the copies.
	mkdir -p orig
	"$vhdtool" create orig/0.vhdx ${size}M >/dev/null
	"$vhdtool" bench --op write --bs 1M --step 8M --count $((size / 8)) \
		orig/0.vhdx >/dev/null
	"$vhdtool" create --type differencing --parent orig/0.vhdx orig/1.vhdx \
		>/dev/null
	"$vhdtool" bench --op write --bs 64K --step 1640562688 --count $cnt \
		orig/1.vhdx >/dev/null
	# The removal of a file of many pieces takes the host longer than their
	# copy, where it tells the disk below that they are free: on its own.
	local prep="rm -f w*; cp orig/0.vhdx w0.vhdx; cp orig/1.vhdx w1.vhdx; sync w0.vhdx w1.vhdx; $vhdtool set-parent w1.vhdx w0.vhdx"
	group "merge of $mib MiB in pieces of 64 KiB"
	variant "cp CHILD" "cp orig/1.vhdx w1.vhdx" "rm -f w*"
	variant "cp CHILD; sync" "cp orig/1.vhdx w1.vhdx; sync w1.vhdx" \
		"rm -f w*"
	if can merge; then
		variant "vhdtool merge --keep" "$vhdtool merge --keep w1.vhdx" \
			"$prep"
		variant "cp CHILD; rm CHILD" "cp w1.vhdx c1; rm w1.vhdx" \
			"rm -f c1; $prep"
		variant "vhdtool merge" "$vhdtool merge w1.vhdx" \
			"rm -f c1; $prep" "cp CHILD; rm CHILD"
	fi
	if has qemu-img; then
		qemu-img create -q -f qcow2 orig/0.qcow2 ${size}M
		qemu-img bench -f qcow2 -t writeback -w -s 1M -S 8M \
			-c $((size / 8)) orig/0.qcow2 >/dev/null
		qemu-img create -q -f qcow2 -F qcow2 -b 0.qcow2 orig/1.qcow2
		qemu-img bench -f qcow2 -t writeback -w -s 65536 -S 1640562688 \
			-c $cnt orig/1.qcow2 >/dev/null
		qprep="rm -f w*; cp orig/0.qcow2 w0.qcow2; cp orig/1.qcow2 w1.qcow2; sync w0.qcow2 w1.qcow2; qemu-img rebase -u -F qcow2 -b w0.qcow2 w1.qcow2"
		variant "cp overlay" "cp orig/1.qcow2 w1.qcow2" "rm -f w*"
		variant "qemu-img commit -d" "qemu-img commit -q -d w1.qcow2" \
			"$qprep" "cp overlay"
	fi
	end_group
	rm -rf orig w* c1
}

# ---- space -----------------------------------------------------------------

# space_row NAME FILE COUNT
space_row()
{
	echo "| $1 | $3 | $(stat -c '%b 512' "$2" | awk -v n="$3" '{
		printf "%.1f MiB | %.0f", $1 * $2 / 1048576, $1 * $2 / n }') |"
}

bench_space()
{
	local cnt counts="1024 16384"
	[ "$mib" -ge 256 ] || counts=1024
	printf '\n### Space of 4 KiB writes scattered over a child of 4 GiB\n\n'
	echo '| format | writes | space on the host | bytes for each |'
	echo '|---|---|---|---|'
	"$vhdtool" create s0.vhdx 4G >/dev/null
	for cnt in $counts; do
		rm -f s1.*
		"$vhdtool" create --type differencing --parent s0.vhdx s1.vhdx \
			>/dev/null
		"$vhdtool" bench --op write --step 1640562688 --count $cnt \
			s1.vhdx >/dev/null
		space_row vhdx s1.vhdx $cnt
		has qemu-img || continue
		qemu-img create -q -f qcow2 s0.qcow2 4G
		qemu-img create -q -f qcow2 -F qcow2 -b s0.qcow2 s1.qcow2
		qemu-img bench -f qcow2 -t writeback -w -s 4096 -S 1640562688 \
			-c $cnt s1.qcow2 >/dev/null
		space_row qcow2 s1.qcow2 $cnt
	done
	rm -f s?.*
}
