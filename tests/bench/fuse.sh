# SPDX-License-Identifier: MIT
# Sourced by run.sh: a mounted image, beside qemu-storage-daemon's FUSE export of
# a copy of it, vhdimount and the raw file. fio asks past the page cache of the
# mounted file (O_DIRECT), so that every request reaches the program behind it.
#
# "direct": the image past the host's page cache as well (--cache none;
# cache.direct=on, aio=native); "cached": each program's default.

fuse_mounts=() fuse_pids=()

fuse_end()
{
	local x
	for x in "${fuse_mounts[@]}"; do
		fusermount3 -u "$x" 2>/dev/null || umount "$x" 2>/dev/null || :
	done
	for x in "${fuse_pids[@]}"; do
		kill "$x" 2>/dev/null || :
		timeout 30 tail --pid="$x" -s 0.1 -f /dev/null || :
	done
	fuse_mounts=() fuse_pids=()
}

# fuse_serve MOUNT COMMAND...: in the background; false: not mounted
fuse_serve()
{
	"${@:2}" >serve.log 2>&1 </dev/null &
	fuse_pids+=($!)
	fuse_mounts+=("$1")
	local i
	for ((i = 0; i < 100; i++)); do
		mountpoint -q "$1" && return
		sleep 0.1
	done
	{ echo "not mounted: ${*:2}"; cat serve.log; } >>bench.log
	return 1
}

fuse_qemu() # FILE MOUNT OPTIONS
{
	touch "$2"
	fuse_serve "$2" qemu-storage-daemon \
		--blockdev "driver=file,node-name=f,filename=$1,$3" \
		--blockdev driver=vhdx,node-name=v,file=f \
		--export "type=fuse,id=e,node-name=v,mountpoint=$2,writable=on"
}

# fuse_fio FILE RW BS COUNT DIRECT
fuse_fio()
{
	echo "fio --name=x --filename=$1 --rw=$2 --bs=$3 --iodepth=16 --number_ios=$4 --size=${fuse_mib}M --io_size=64G --ioengine=libaio --direct=$5 --allow_file_create=0 --norandommap --output-format=json | awk '/\"job_runtime\"/ { gsub(/[^0-9]/, \"\", \$3); print \"Run completed in\", \$3 / 1000, \"seconds\"; exit }'"
}

fuse_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat" 2>/dev/null || echo 0; }

# fuse_cost PID FIO COUNT: processor time of that program for each request
fuse_cost()
{
	local before after
	[ -n "$1" ] || return 0
	before=$(fuse_ticks "$1")
	bash -c "$2" >/dev/null 2>&1 || return 0
	after=$(fuse_ticks "$1")
	awk "BEGIN { printf \"%.1f us\", ($after - $before) * 1e6 / $(getconf CLK_TCK) / $3 }"
}

# fuse_group CACHE RW BS COUNT TIMES: the target in times qemu's speed
fuse_group()
{
	local name="$2 of $3, depth 16, $1" x met=0 raw_direct=1
	[ $1 = direct ] || raw_direct=0
	group "vhdfuse: $name"
	variant vhdfuse "$(fuse_fio v/disk $2 $3 $4 1)" sync
	! mountpoint -q q || variant "qemu-storage-daemon" \
		"$(fuse_fio q $2 $3 $4 1)" sync vhdfuse
	variant "raw, fio" "$(fuse_fio f.raw $2 $3 $4 $raw_direct)" sync vhdfuse
	end_group
	echo
	echo "processor time per request: vhdfuse" \
		"$(fuse_cost "${fuse_pids[0]}" "$(fuse_fio v/disk $2 $3 $4 1)" $4)," \
		"qemu-storage-daemon $(fuse_cost "${fuse_pids[1]:-}" \
			"$(fuse_fio q $2 $3 $4 1)" $4)"
	x=$(ratio qemu-storage-daemon vhdfuse)
	[ -z "$x" ] || ! awk "BEGIN { exit !($x >= $5) }" || met=1
	row "FUSE: $name, speed to qemu-storage-daemon" "1" \
		"$(figure "$x"); to raw $(figure "$(ratio "raw, fio" vhdfuse)")" \
		">= $5" $met
}

# Fewer MiB than the file has: at its end fio closes and reopens it, which is a
# flush of a mounted image and nothing for the raw file.
fuse_all_sizes() # CACHE
{
	fuse_group $1 randread 4k $(scaled 100000 512) 1.4
	fuse_group $1 randwrite 4k $(scaled 100000 512) 1.4
	fuse_group $1 read 1M $(scaled 1000) 1.2
	fuse_group $1 write 1M $(scaled 1000) 1.2
}

# Through the page cache of the mounted file. "first": not in it yet.
fuse_cached()
{
	local x met=0
	mkdir -p i
	! has vhdimount || fuse_serve i vhdimount f2.vhdx i || :
	group "vhdfuse: 1 MiB reads through the page cache"
	variant vhdfuse "dd if=v/disk of=/dev/null bs=1M"
	variant "vhdfuse, first" "dd if=v/disk of=/dev/null bs=1M" \
		"dd if=v/disk iflag=nocache count=0"
	! [ -e i/vhdi1 ] || variant vhdimount \
		"dd if=i/vhdi1 of=/dev/null bs=1M" "" vhdfuse
	end_group
	x=$(ratio vhdimount vhdfuse)
	[ -z "$x" ] || ! awk "BEGIN { exit !($x >= 1) }" || met=1
	row "FUSE: 1 MiB cached reads, speed to vhdimount" "1" \
		"$(figure "$x"); first time $(figure \
			"$(ratio vhdimount "vhdfuse, first")")" ">= 1" $met
}

bench_fuse()
{
	local vhdfuse=$build/bin/vhdfuse f
	[ -x "$vhdfuse" ] && [ -w /dev/fuse ] && has fio ||
		{ echo "left out: fuse (vhdfuse, /dev/fuse or fio)"; return; }
	fuse_mib=$((mib > 64 ? mib : 64))
	rm -rf f.* v q i
	mkdir v
	truncate -s ${fuse_mib}M f.raw
	"$vhdtool" create f.vhdx ${fuse_mib}M >/dev/null
	for f in f.raw f.vhdx; do
		"$vhdtool" bench --op write --bs 1M --count $fuse_mib $f >/dev/null
	done
	cp --sparse=never f.vhdx f2.vhdx
	sync f.raw f.vhdx f2.vhdx
	trap 'fuse_end; cd /; rm -rf "$dir"' EXIT
	fuse_serve v "$vhdfuse" -f --cache none f.vhdx v || :
	! has qemu-storage-daemon ||
		fuse_qemu f2.vhdx q cache.direct=on,aio=native || :
	fuse_all_sizes direct
	fuse_end
	fuse_serve v "$vhdfuse" -f f.vhdx v || :
	! has qemu-storage-daemon || fuse_qemu f2.vhdx q aio=threads || :
	fuse_all_sizes cached
	fuse_end
	fuse_serve v "$vhdfuse" -f f.vhdx v || :
	fuse_cached
	fuse_end
	rm -rf f.* f2.vhdx v q i
}
