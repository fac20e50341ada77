#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make bench` runs inside run.sh, once a round: guest.bash ROUND. Boots to
# init, ours and QEMU's microvm; fio in the guest, ours and QEMU's virtio-blk, on
# equal copies of a filled disk. On a fresh host the first is the slowest, so
# that they change places from round to round. Prints "took WHO WHAT SECONDS".
set -u
round=$1
qemu=(qemu-system-x86_64 -L /usr/share/qemu -L /usr/share/seabios -accel kvm
	-cpu host -m 512 -nodefaults -no-user-config -display none
	-serial stdio -no-reboot -kernel kernel -initrd initrd)
line='console=ttyS0 quiet'

ours() # CMDLINE OPTION...
{
	vmm run --memory 512M --kernel kernel --initrd initrd --cmdline "$@" \
		--console stdio
}

boot_ours() { ours "$line" --cpus 1; }
# As fast as it goes: without what a kernel on KVM does not need.
boot_qemu()
{
	"${qemu[@]}" -M microvm,acpi=on,pit=off,pic=off,rtc=off -smp 1 \
		-append "$line"
}

fio_ours()
{
	ours "$line root=lun:0 nested.do=bench nested.arg=1" --cpus 2 \
		--disk child.avhdx --disk data.vhdx
}

fio_qemu() # FORMAT FILE
{
	"${qemu[@]}" -M q35 -smp 2 -object iothread,id=io \
		-drive file=root.raw,format=raw,if=none,id=r \
		-device virtio-blk-pci,drive=r \
		-drive "file=$2,format=$1,if=none,id=d,discard=unmap" \
		-device virtio-blk-pci,drive=d,iothread=io,num-queues=2 \
		-append "$line root=/dev/vda nested.do=bench nested.arg=/dev/vdb"
}

# boot WHO COMMAND: seconds until its init speaks
boot()
{
	local began=$EPOCHREALTIME said pid
	coproc guest { exec 2>out/error; "$2" </dev/null; }
	pid=$guest_PID
	while read -r -t 60 said; do
		case $said in *"nested: init"*)
			echo "took $1 boot $EPOCHREALTIME $began" |
				awk '{ print $1, $2, $3, $4 - $5 }'
			cat >/dev/null
			break ;;
		esac
	done <&"${guest[0]}"
	wait "$pid"
}

# fio WHO COMMAND...
fio()
{
	"${@:2}" </dev/null 2>out/error | tr -d '\r' | tee "out/$1" |
		awk -v who="$1" '/^took / { print $1, who, $2, $3 / 1000 }'
	[ "${PIPESTATUS[0]}" = 0 ] || { tail -n 5 "out/$1"; cat out/error; }
}

boots=("ours boot_ours" "microvm boot_qemu")
fios=("ours fio_ours" "qemu-vhdx fio_qemu vhdx data2.vhdx"
	"qemu-qcow2 fio_qemu qcow2 data.qcow2")
for i in 0 1; do
	boot ${boots[(round + i) % 2]}
done
for i in 0 1 2; do
	fio ${fios[(round + i) % 3]}
done
