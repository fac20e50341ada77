#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a command on a Linux host that has a working /dev/kvm, wherever this is
# run: QEMU's own processor offers AMD's virtualisation, and the distribution's
# kernel inside it makes a /dev/kvm of that, with all of Hyper-V's helpers.
# Up in three seconds; all is 10 to 30 times slower there.
#
#	run.sh [OPTION]... -- COMMAND [ARG]...
#	-f PATH[=AS]	copies a file or folder, with the libraries of programs:
#			a program to /bin, anything else to the same path, or
#			to AS (repeat it)
#	-w DIR		DIR is /work inside, a copy on an ext4 disk and the
#			current folder of COMMAND; what is in /work/out
#			afterwards is copied to DIR/out
#	-s MIB		how much /work holds more than DIR (1024)
#	-d IMAGE	a raw image as the next disk: /dev/vdb with -w, else vda
#	-m MIB, -p CPUS	memory (2048), processors (2)
#	-t SECONDS	at most (300)
#	-c		afterwards, what the host's kernel said
#
# The exit status is COMMAND's; 124: not done in time, 125: the host died, 77:
# something it needs is missing here, which is said. Standard output and error
# of COMMAND are run.sh's output. Inside: busybox, and what -f brought.
# Several can run at once. Example:
#	tests/nested/run.sh -f build/release/bin/vmm -- vmm --version
. "$(dirname "$0")/lib.sh"

usage()
{
	sed -n '9s/^#\t/usage: /p' "$0" >&2
	exit 2
}

mem=2048 cpus=2 limit=300 room=1024 work='' files=() disks=() chatty=''
while getopts f:w:s:d:m:p:t:c opt; do
	case $opt in
	f) files+=("$OPTARG") ;;
	w) work=$(realpath "$OPTARG") ;;
	s) room=$OPTARG ;;
	d) disks+=("$OPTARG") ;;
	m) mem=$OPTARG ;;
	p) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	c) chatty=1 ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
requires qemu-system-x86_64 cpio ldd modprobe
kernel_get
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/nested-XXXXXX")
qemu=
finish()
{
	# timeout hands it on; killed, it could not.
	[ -z "$qemu" ] || kill -TERM "$qemu" 2>/dev/null || :
	rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

root=$tmp/root
mkdir "$root"
busybox_into "$root"
modules_into "$root" kvm_amd virtio_pci virtio_blk fuse
for f in "${files[@]}"; do
	[ ! -f "$f" ] || [ ! -x "$f" ] || f+==/bin/${f##*/}
	put "$root" "$f"
done
printf '%q ' "$@" >"$root/command"
cat >"$root/init" <<'INIT'
#!/bin/sh
export HOME=/root PATH=/bin:/sbin:/usr/bin:/usr/sbin TMPDIR=/tmp
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd
while read -r module; do insmod "/modules/$module"; done </modules/order
ip link set lo up
stty -F /dev/ttyS0 -opost
exec >/dev/ttyS0 2>&1
cd /root
if grep -q nested.work /proc/cmdline; then
	mkdir -p /work
	mount -o noatime /dev/vda /work && mkdir -p /work/out && cd /work
fi
sh /command </dev/null
echo $? >/dev/ttyS2
cd /
umount /work 2>/dev/null || sync
poweroff -f
INIT
chmod +x "$root/init"
initrd_of "$root" "$tmp/initrd"
rm -rf "$root"

args=(-M pc -accel tcg,thread=multi -cpu max -smp "$cpus" -m "$mem"
	-nodefaults -display none -no-reboot -serial "file:$tmp/said"
	-serial "file:$tmp/kernel" -serial "file:$tmp/status" -kernel "$kernel_image"
	-initrd "$tmp/initrd")
append="console=ttyS1 quiet panic=-1 mitigations=off tsc=reliable"
[ -z "$chatty" ] || append+=" loglevel=6"
if [ -n "$work" ]; then
	requires mkfs.ext4 debugfs
	disk_of "$work" "$tmp/work" $(($(du -sm "$work" | cut -f 1) + room))
	disks=("$tmp/work" "${disks[@]}")
	append+=" nested.work"
fi
for d in "${disks[@]}"; do
	args+=(-drive "file=$d,format=raw,if=virtio,cache=unsafe")
done

: >"$tmp/said"
timeout -k 5 "$limit" qemu-system-x86_64 "${args[@]}" -append "$append" \
	</dev/null &
qemu=$!
tail -n +1 -s 0.2 -f --pid=$qemu "$tmp/said" &
show=$!
rc=0
wait "$qemu" || rc=$?
qemu=
wait "$show" || :
if [ -n "$work" ]; then
	rm -rf "$work/out"
	debugfs -R "rdump /out \"$work\"" "$tmp/work" >/dev/null 2>&1 || :
fi
[ -z "$chatty" ] || cat "$tmp/kernel"
[ "$rc" != 124 ] || { echo "run.sh: not done after $limit s" >&2; exit 124; }
status=$(tr -d '\r' <"$tmp/status")
[ -n "$status" ] || {
	tail -n 20 "$tmp/kernel" >&2
	echo "run.sh: the host died (QEMU's status: $rc)" >&2
	exit 125
}
exit "$status"
