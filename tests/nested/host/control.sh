#!/bin/sh
# SPDX-License-Identifier: MIT
# What vmm ctl orders happens: pause, resume, another size, reset; what cannot
# be is refused with its own status; signals press the power button, then end.
. host/lib.sh
cpus=2
vhdtool create data.vhdx 64M >/dev/null

ticks() { grep -c '^tick' "$log"; }

# refused STATUS COMMAND...: it ends with that.
refused()
{
	want=$1 status=0
	shift
	"$@" >out/refused 2>&1 </dev/null || status=$?
	[ $status = "$want" ] || {
		cat out/refused
		fail "status $status instead of $want: $*"
	}
}

is() # EXPRESSION of the status
{
	ctl status >out/status
	jq -e "$1" out/status >/dev/null || { cat out/status; fail "not $1"; }
}

start control control --disk child.avhdx --disk data.vhdx
said '^tick 3,' 200
is '.state == "running" and .cpus == 2 and .vmbus.version == "5.3"'
is '.vmbus.channels == 2 and (.disks | length) == 2'
is '.disks[1].path == "/work/data.vhdx" and .disks[1].size == 67108864'
is '.disks[0].read.requests > 0 and .disks[0].errors == 0'

ctl pause >out/ctl
sleep 1
cnt=$(ticks)
sum=$(sha256sum child.avhdx)
sleep 2
[ "$(sha256sum child.avhdx)" = "$sum" ] || fail "a paused guest writes"
[ "$(ticks)" = "$cnt" ] || fail "a paused guest ticks"
is '.state == "paused"'
refused 1 ctl power-off
ctl resume >out/ctl
said "^tick $((cnt + 4))," 20

ctl resize-disk data.vhdx 96M >out/ctl
said ', 196608 sectors' 20
is '.disks[1].size == 100663296'
refused 2 ctl resize-disk 1 64M
said "^tick $(($(ticks) + 2))," 20

refused 3 ctl add-disk gone.vhdx
refused 3 ctl remove-disk 9
refused 4 ctl add-disk data.vhdx
refused 4 vmm run --kernel kernel --console none --disk data.vhdx
refused 6 ctl add-disk base.vhdx
refused 2 ctl add-disk data.vhdx,lun=99
is '(.disks | length) == 2'

ctl pause >out/ctl
ctl reset >out/ctl
is '.state == "paused" and (.vmbus.connected | not)'
ctl resume >out/ctl
tries=300
until [ "$(grep -c 'control begins' "$log")" = 2 ]; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] || fail "no second boot after a reset"
	sleep 0.2
done
cnt=$(ticks)
while [ "$(ticks)" = "$cnt" ]; do sleep 0.2; done
is '.state == "running" and .vmbus.connected'

kill -TERM $vmm
said 'the power button is pressed' 20
ended 20
sound child.avhdx
sound data.vhdx
[ ! -e control.sock ] || fail "the socket is left"

# Ended while it boots, its disks are sound all the same.
start quit control --disk child.avhdx --disk data.vhdx --console pty
tries=300
until ctl status >out/status 2>/dev/null && jq -e '.disks[0].in_flight > 0 or
	.disks[0].read.requests > 100' out/status >/dev/null; do
	tries=$((tries - 1))
	[ $tries -gt 0 ] || fail "no request after a minute"
	sleep 0.2
done
pty=$(jq -r .console out/status)
[ -c "${pty#pty:}" ] || fail "no pseudo terminal: $pty"
timeout 1 cat "${pty#pty:}" >out/pty 2>/dev/null || :
grep -q 'nested: init after' out/pty || fail "nothing on $pty"
ctl pause >out/ctl
ctl quit >out/ctl
ended_itself 20
sound child.avhdx
