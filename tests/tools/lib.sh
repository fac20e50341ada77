# SPDX-License-Identifier: MIT
# Sourced by every test of vhdtool:
#	. "$(dirname "$0")/lib.sh"
# One script, one claim, named in its first comment. Exit status 0 = it holds,
# 77 = could not be tried here (the reason is printed), else it does not hold.
# $VHDTOOL is the program; the current folder is a new one, removed at exit.

set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VHDTOOL=$(realpath "${VHDTOOL:-$top/build/${VARIANT:-release}/bin/vhdtool}")
export LC_ALL=C
[ -x "$VHDTOOL" ] || { echo "no vhdtool at $VHDTOOL"; exit 1; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/vhdtool-test.XXXXXX")
cleanups=()
cleanup()
{
	local i
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}" || :
	done
	cd /
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
cd "$tmp"

# at_exit COMMAND: run before the folder is removed, last one first.
at_exit() { cleanups+=("$1"); }

skip() { echo "SKIP: $*"; exit 77; }

fail()
{
	echo "FAIL: $*" >&2
	exit 1
}

# requires PROGRAM...: skip where one is not installed.
requires()
{
	local p
	for p; do
		command -v "$p" >/dev/null || skip "$p is not installed"
	done
}

vhdtool() { "$VHDTOOL" "$@"; }

# status WANT COMMAND...: it ends with this exit status. Its output is left in
# the files out and err.
status()
{
	local want=$1 got=0
	shift
	"$@" >out 2>err || got=$?
	[ "$got" = "$want" ] && return
	cat out err >&2
	fail "exit status $got instead of $want: $*"
}

# millis COMMAND...: runs it, which must succeed, and sets `took`.
millis()
{
	local began
	began=$(date +%s%N)
	"$@" >out 2>err || { cat err >&2; fail "$*"; }
	took=$((($(date +%s%N) - began) / 1000000))
}

# killed MS COMMAND...: ends it by kill -9 after so many milliseconds. False if
# it was done before; then it must have succeeded.
killed()
{
	local ms=$1 pid got=0
	shift
	[ "$1" != vhdtool ] || set -- "$VHDTOOL" "${@:2}"
	"$@" <&0 >out 2>err &
	pid=$!
	sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
	kill -KILL $pid 2>/dev/null || :
	wait $pid 2>/dev/null || got=$?
	[ $got != 0 ] || return 1
	[ $got = 137 ] || { cat err >&2; fail "exit status $got: $*"; }
}

# sound FILE...: check finds no damage in them.
sound()
{
	local f
	for f; do
		status 0 vhdtool check "$f"
	done
}

# says FILE TEXT: the file contains the text.
says()
{
	grep -qF -- "$2" "$1" && return
	cat "$1" >&2
	fail "'$2' is not in $1"
}

says_not()
{
	! grep -qF -- "$2" "$1" || fail "'$2' is in $1"
}

# equal WHAT GOT WANT
equal() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; }

# pattern SEED LEN: bytes that differ everywhere and with every seed.
pattern()
{
	(set +o pipefail; seq "${1}000000000" "${1}999999999" | head -c "$2")
}

# hold FILE [OPTION]...: a writer has the image FILE open, and changes nothing,
# until `release`. It has read more than a pipe holds, so FILE is open, and less
# than it writes at once.
hold()
{
	local file=$1
	shift
	mkfifo held
	"$VHDTOOL" write "$@" "$file" <held >/dev/null &
	holder=$!
	at_exit "kill -KILL $holder 2>/dev/null"
	exec 9>held
	head -c 262144 /dev/zero >&9
}

release()
{
	kill -KILL $holder
	wait $holder 2>/dev/null || :
	exec 9>&-
	rm held
}

# json KEY FILE: the value of the first "KEY" in pretty-printed JSON.
json()
{
	sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$2" |
		head -n 1
}

sum()
{
	if command -v openssl >/dev/null; then
		openssl dgst -sha256 -r "$@" | cut -d ' ' -f 1
	else
		sha256sum "$@" | cut -d ' ' -f 1
	fi
}

# A folder of testdata, in the tree or beside it.
testdata()
{
	local d
	for d in "$top/testdata" "$top/../shared/testdata" \
		 "$top/../../shared/testdata"; do
		[ -d "$d/$1" ] && { echo "$d/$1"; return; }
	done
	return 1
}

# real_image NAME: unpacks an image that Windows wrote into the current folder.
real_image()
{
	requires bunzip2
	local d
	d=$(testdata hyperv-images) || skip "the Windows images are not here"
	bunzip2 <"$d/$1.bz2" >"$1"
}

# manifest NAME FIELD: 1 = virtual size, 2 = sum
manifest()
{
	awk -v n="$1" -v f="$2" '$3 == n { print $f }' \
		"$(testdata hyperv-images)/MANIFEST"
}

# sparse_pattern FILE: a raw image of 67 MiB with data in awkward places.
sparse_pattern()
{
	truncate -s 67M "$1"
	pattern 1 5000 | dd of="$1" conv=notrunc status=none
	pattern 2 1234567 | dd of="$1" bs=1 seek=3145000 conv=notrunc \
		oflag=seek_bytes status=none iflag=fullblock bs=64K
	pattern 3 65536 | dd of="$1" seek=33521664 bs=64K conv=notrunc \
		oflag=seek_bytes status=none iflag=fullblock
	pattern 4 4608 | dd of="$1" seek=$((67 * 1048576 - 4608)) bs=4608 \
		conv=notrunc oflag=seek_bytes status=none iflag=fullblock
}

# store_changes OLD NEW IMAGE: writes to IMAGE what differs between two raw
# files of its size.
store_changes()
{
	local piece
	cmp -l "$1" "$2" | awk '{ p = int(($1 - 1) / 65536) }
		p != last || NR == 1 { print p; last = p }' >pieces || :
	while read -r piece; do
		dd if="$2" bs=64K skip="$piece" count=1 status=none |
			vhdtool write --offset $((piece * 65536)) "$3" >/dev/null
	done <pieces
}

# The same in an image and in the raw file `model`, which is in the folder.
model_put() # FILE SEED OFFSET LEN
{
	pattern "$2" "$4" >data
	vhdtool write --offset "$3" "$1" <data >/dev/null
	dd if=data of=model bs=64K seek="$3" oflag=seek_bytes conv=notrunc \
		status=none
}

model_zero() # FILE OFFSET LEN
{
	vhdtool write --zeroes --offset "$2" --length "$3" "$1" >/dev/null
	head -c "$3" /dev/zero | dd of=model bs=64K seek="$2" \
		oflag=seek_bytes conv=notrunc status=none iflag=fullblock
}

# same_as_model FILE FORMAT: it reads as the model, is sound, and so is what it converts
# to.
same_as_model()
{
	local flat=flat.$2
	vhdtool read "$1" | cmp - model || fail "$1 reads another content"
	sound "$1"
	vhdtool convert --force "$1" "$flat" >/dev/null
	if [ "$2" != raw ]; then
		vhdtool info --json "$flat" >info
		equal "type of the flat one" "$(json type info)" dynamic
	fi
	vhdtool read "$flat" | cmp - model ||
		fail "$1 converts to another content"
	status 0 vhdtool compare --strict "$1" "$flat"
	status 0 vhdtool compare --strict "$flat" "$1"
}

# picture FILE NAME...: info --chain draws them, leaf to base, all healthy.
picture()
{
	vhdtool info --chain "$1" >out
	equal lines "$(wc -l <out)" $(($# - 1))
	equal order "$(sed 's/.*\///; s/:.*//; s/.*: //' out | paste -sd' ')" \
		"${*:2}"
	equal health "$(grep -c ': ok$' out)" $(($# - 1))
}

# libvhdi_starts FILE: skips where vhdimount is missing or cannot mount FILE.
libvhdi_starts()
{
	requires vhdimount
	[ -w /dev/fuse ] || skip "no /dev/fuse"
	mkdir -p mnt
	at_exit "umount '$tmp/mnt' 2>/dev/null"
	vhdimount "$1" mnt >/dev/null || skip "vhdimount cannot mount here"
	umount mnt
}

# libvhdi_same FILE DEPTH: vhdimount, which shows the leaf last, after its
# parents, sees what we see.
libvhdi_same()
{
	vhdimount "$1" mnt >log 2>&1 ||
		{ cat log; fail "vhdimount refuses $1"; }
	cat "mnt/vhdi$2" >seen
	vhdtool read "$1" >ours
	umount mnt
	cmp seen ours || fail "libvhdi sees another content in $1"
}
