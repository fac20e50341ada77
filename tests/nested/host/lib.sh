# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2154
# Sourced by what runs inside run.sh, in /work, by busybox's shell: starts
# guests under vmm and looks at what they say. Logs are left in out/.
set -eu
cmdline='console=ttyS0 quiet root=lun:0'
vmm='' log=''

fail()
{
	echo "FAIL: $*"
	if [ -n "$log" ]; then
		tail -n 30 "$log"
		tail -n 10 "$log.err"
	fi
	[ -z "$vmm" ] || kill -KILL "$vmm" 2>/dev/null || :
	exit 1
}

# start NAME WHAT [OPTION of vmm]...: a guest that does /do/WHAT, words of WHAT
# behind the first being its arguments. 2 processors if cpus=2.
start()
{
	name=$1 line="$cmdline nested.do=${2%% *}"
	for word in ${2#"${2%% *}"}; do
		line="$line nested.arg=$word"
	done
	shift 2
	log=out/$name.log
	: >"$log"
	began=$(date +%s)
	vmm run --name "$name" --memory "${memory:-512M}" --cpus "${cpus:-1}" \
		--kernel "${kernel:-kernel}" --initrd "${initrd:-initrd}" \
		--cmdline "$line" --console stdio --control "$name.sock" "$@" \
		</dev/null >"$log" 2>"$log.err" &
	vmm=$!
}

# said TEXT SECONDS: until the guest has said a line with TEXT in it.
said()
{
	tries=$(($2 * 5))
	until grep -q -e "$1" "$log"; do
		! grep -q 'Kernel panic' "$log" || fail "$name: the guest died"
		kill -0 "$vmm" 2>/dev/null || fail "$name: vmm ended, no '$1'"
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "$name: no '$1' after $2 s"
		sleep 0.2
	done
}

# ended_itself SECONDS: the guest switched off, and vmm ended well.
ended_itself()
{
	tries=$(($1 * 5))
	while kill -0 "$vmm" 2>/dev/null; do
		! grep -q 'Kernel panic' "$log" || fail "$name: the guest died"
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "$name: not done after $1 s"
		sleep 0.2
	done
	status=0
	wait "$vmm" || status=$?
	vmm=''
	[ $status = 0 ] || fail "$name: vmm ended with status $status"
	echo "$name: $(($(date +%s) - began)) s"
}

# ended SECONDS: and it did what it had to.
ended()
{
	ended_itself "$1"
	grep -q 'nested: .* ended with 0' "$log" ||
		fail "$name: it went wrong in the guest"
}

ctl() { vmm ctl "$name.sock" "$@"; }

# killed: as when the power fails.
killed()
{
	kill -KILL "$vmm"
	wait "$vmm" || :
	vmm=''
}

# sound IMAGE: it and all it stands on.
sound() { vhdtool check --chain "$1" || fail "$1 is damaged"; }

# sound_fs IMAGE: the file system that the chain shows.
sound_fs()
{
	vhdtool convert --no-sync --progress none --force "$1" whole.raw
	e2fsck -fn whole.raw >out/e2fsck 2>&1 || { cat out/e2fsck; fail "the file system in $1 is damaged"; }
}
