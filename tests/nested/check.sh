#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots guests under vmm: host/*.sh, one claim each, the claim being its first
# comment, each on a host of its own that run.sh makes. With arguments: only
# those names. B is the build folder; NESTED_SECONDS for each of them (300).
# Status 77: skipped, the last line of the output says why.
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath -m "${B:-$here/../../build/release}")
export B=$build
cd "$here"

[ -x "$build/bin/vmm" ] || skip "vmm is not built"
requires qemu-system-x86_64 cpio mkfs.ext4 e2fsck dumpe2fs fio jq
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/nested-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM HUP

# images NAME: into the folder of that claim.
images()
{
	mkdir "$tmp/$1"
	cp -r host "$tmp/$1/"
	case $1 in
	debian) ./debian.sh "$tmp/$1" ;;
	disks) ./guest.sh -f "$tmp/$1" ;;
	*) ./guest.sh "$tmp/$1" ;;
	esac
}

on_a_host()
{
	images "$1" && ./run.sh -t "${NESTED_SECONDS:-240}" -m 3072 \
		-w "$tmp/$1" -f "$build/bin/vmm" -f "$build/bin/vhdtool" \
		-f "$(command -v e2fsck)" -f "$(command -v dumpe2fs)" \
		-f "$(command -v jq)" -- sh "host/$1.sh"
}

ran=0 skipped=0 failed=0
for test in host/*.sh; do
	name=$(basename "$test" .sh)
	[ "$name" != lib ] || continue
	[ $# = 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
	began=$SECONDS
	# QEMU's own processor is not perfect: now and then the host inside it
	# is gone, without a word. That says nothing of what runs there.
	for try in 1 2 3; do
		rc=0
		on_a_host "$name" >"$tmp/$name.out" 2>&1 </dev/null || rc=$?
		[ "$rc" = 125 ] && [ "$try" != 3 ] || break
		echo "again    $name: $(tail -n 1 "$tmp/$name.out")"
		rm -rf "${tmp:?}/$name"
	done
	claim=$(sed -n '3,${/^#/!q;s/^# //p}' "$test" | tr '\n' ' ')
	took="$((SECONDS - began)) s"
	case $rc in
	0) ran=$((ran + 1)); echo "ok       $name ($took): $claim" ;;
	77) skipped=$((skipped + 1))
		echo "skipped  $name: $(tail -n 1 "$tmp/$name.out")" ;;
	*) failed=$((failed + 1))
		echo "FAILED   $name ($took): $claim (status $rc)" ;;
	esac
	[ "$rc" = 77 ] || sed 's/^/    /' "$tmp/$name.out"
	if [ -n "${NESTED_KEEP:-}" ]; then
		rm -rf "${NESTED_KEEP:?}/$name"
		mkdir -p "$NESTED_KEEP"
		cp -r "$tmp/$name/out" "$NESTED_KEEP/$name" || :
	fi
	rm -rf "${tmp:?}/$name"
done
echo "nested: $ran passed, $skipped skipped, $failed failed"
[ "$failed" = 0 ] || exit 1
[ "$ran" -gt 0 ] || exit 77
