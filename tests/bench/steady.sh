# SPDX-License-Identifier: MIT
# Sourced by run.sh: requests to blocks that are there, beside the raw file, and
# what they take of the processor.
#
# "Raw" is the raw file by the fastest way there is on this machine: our own raw
# driver, qemu-img or, past the page cache, fio (within it, fio waits for each
# request in its turn). The same file is read and written by all. The raw file
# takes part twice: what it is to itself is what the machine's moods are worth.

# qbench FORMAT FILE CACHE OP BS DEPTH COUNT STEP [OPTION]...
qbench()
{
	local aio=$qaio cache=writeback w=
	[ "$3" = none ] && cache=none aio=native
	[ "$4" = read ] || w=-w
	echo "qemu-img bench -f $1 -t $cache -i $aio $w -s $5 -d $6 -c $7 -S $8 ${*:9} $2"
}

# vbench FILE CACHE OP BS DEPTH COUNT STEP [OPTION]...
vbench()
{
	echo "$vhdtool bench --cache $2 --op $3 --bs $4 --depth $5 --count $6 --step $7 ${*:8} $1"
}

# fio tells its time in ms; it has no steps, so it goes to random places. It
# would drop the file from the page cache, for everybody.
fiobench()
{
	local direct=0 engine=psync
	[ "$2" = none ] && direct=1 engine=libaio
	[ "$5" = 1 ] || engine=libaio
	echo "fio --name=x --filename=$1 --rw=rand$3 --bs=$4 --iodepth=$5 --number_ios=$6 --ioengine=$engine --direct=$direct --allow_file_create=0 --norandommap --invalidate=0 --output-format=json | awk '/\"job_runtime\"/ { gsub(/[^0-9]/, \"\", \$3); print \"Run completed in\", \$3 / 1000, \"seconds\"; exit }'"
}

# steady_count BS DEPTH CACHE: requests that take one to three tenths of a second
steady_count()
{
	case $1-$2-$3 in
	4096-1-none) scaled 4000 ;;
	4096-*-none) scaled 16000 128 ;;
	4096-1-*) scaled 20000 ;;
	4096-*-*) scaled 60000 256 ;;
	65536-1-none) scaled 2000 ;;
	65536-*-none) scaled 4000 128 ;;
	65536-*-*) scaled 15000 128 ;;
	*) scaled 1000 128 ;;
	esac
}

# Both full of data, of the same size. MiB, not less than the deepest needs.
steady_files()
{
	steady_mib=$((mib > 64 ? mib : 64))
	rm -f p.*
	truncate -s ${steady_mib}M p.raw
	"$vhdtool" create p.vhdx ${steady_mib}M
	for f in p.raw p.vhdx; do
		"$vhdtool" bench --op write --bs 1M --count $steady_mib $f
	done
	sync p.raw p.vhdx
} >/dev/null

# steady_group CACHE OP BS DEPTH: adds to `ours`, `owns`, `theirs`, `selfs`
steady_group()
{
	local cnt step raw x
	cnt=$(steady_count $3 $4 $1)
	step=$(odd_step $((steady_mib * 1048576)) $3)
	group "$2 of $3 bytes, depth $4, --cache $1"
	variant "raw, vhdtool" "$(vbench p.raw $1 $2 $3 $4 $cnt $step)"
	variant "vhdx, vhdtool" "$(vbench p.vhdx $1 $2 $3 $4 $cnt $step)"
	if has qemu-img; then
		variant "raw, qemu-img" "$(qbench raw p.raw $1 $2 $3 $4 $cnt $step)"
		variant "vhdx, qemu-img" "$(qbench vhdx p.vhdx $1 $2 $3 $4 $cnt $step)"
	fi
	! has fio || [ $3 != 4096 ] ||
		variant fio "$(fiobench p.raw $1 $2 $3 $4 $cnt)"
	variant "raw, vhdtool, again" "$(vbench p.raw $1 $2 $3 $4 $cnt $step)"
	end_group
	raw=$(fastest "raw, vhdtool" "raw, qemu-img" $([ $1 != none ] || echo fio))
	x=$(ratio "vhdx, vhdtool" "$raw")
	ours+=("$x")
	owns+=("$(ratio "vhdx, vhdtool" "raw, vhdtool")")
	selfs+=("$(ratio "raw, vhdtool, again" "raw, vhdtool")")
	theirs+=("$(figure "$(ratio "vhdx, qemu-img" "$raw")")")
}

# joined X...: with commas
joined() { local IFS=,; echo "${*}" | sed 's/,/, /g'; }

figures() { local x; for x; do figure "$x"; done; }

bench_steady()
{
	local cache op bs depth met worst
	# Short runs, and many: what is looked for is 3 %.
	local rounds=$((rounds > 1 ? 2 * rounds + 1 : 1))
	steady_files
	for cache in writeback none; do
		for op in read write; do
			for bs in 4096 65536 1048576; do
				local ours=() owns=() theirs=() selfs=()
				for depth in 1 16 64; do
					steady_group $cache $op $bs $depth
				done
				met=0
				worst=$(greatest "${ours[@]}" "${owns[@]}")
				! at_most "$worst" 1.03 || met=1
				row "$op $((bs / 1024))K at depth 1, 16, 64, $([ $cache = none ] && echo direct || echo cached), to raw" \
					"qemu-img vhdx $(joined "${theirs[@]}")" \
					"$(joined $(figures "${ours[@]}")); to our raw $(joined $(figures "${owns[@]}")); that to itself $(joined $(figures "${selfs[@]}"))" \
					"<= 1.03" $met
			done
		done
	done
	rm -f p.*
}

# ---- processor -------------------------------------------------------------

bench_cpu()
{
	local cache op cnt step x met base
	steady_files
	step=$(odd_step $((steady_mib * 1048576)) 4096)
	for cache in writeback none; do
		for op in read write; do
			cnt=$(scaled 200000 2000)
			[ $cache = writeback ] || cnt=$(scaled 60000 2000)
			group "processor time: $op of 4096 bytes, depth 16, --cache $cache, $cnt times"
			variant "vhdx, vhdtool" "$cost cpu $(vbench p.vhdx $cache $op 4096 16 $cnt $step)"
			variant "raw, vhdtool" "$cost cpu $(vbench p.raw $cache $op 4096 16 $cnt $step)"
			if has qemu-img; then
				variant "vhdx, qemu-img" "$cost cpu $(qbench vhdx p.vhdx $cache $op 4096 16 $cnt $step)"
				variant "raw, qemu-img" "$cost cpu $(qbench raw p.raw $cache $op 4096 16 $cnt $step)"
			fi
			end_group
			x=$(median "vhdx, vhdtool")
			base=$(median "vhdx, qemu-img")
			met=0
			[ -z "$x" ] || [ -z "$base" ] || ! at_most "$x" "$base" || met=1
			row "processor time per 4 KiB $op, depth 16, $([ $cache = none ] && echo direct || echo cached)" \
				"qemu-img vhdx $(per_request "$base" $cnt)" \
				"$(per_request "$x" $cnt); $(figure "$(ratio "vhdx, vhdtool" "vhdx, qemu-img")")" \
				"lower" $met
		done
	done
	rm -f p.*
}

# per_request SECONDS COUNT
per_request()
{
	[ -n "$1" ] || { echo -; return; }
	awk "BEGIN { printf \"%.2f us\\n\", $1 * 1e6 / $2 }"
}
