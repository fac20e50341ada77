#!/bin/sh
# SPDX-License-Identifier: MIT
# Who may include whom (docs/architecture.md): every file of libvhdx stands in
# the table; it includes its own layer and lower ones, and
#	codecs (L2) include L2 and L0 only;
#	L3 to L5 reach the loop through file.h, never themselves;
#	vhd1_* includes nothing of the VHDX engine, nor the reverse; common to
#	both are image, check, raw, locator, compact_run; probe knows both;
#	L7 sees images through image.h, and names parents through locator.h;
#	L8 sees images through image.h, and no engine file;
#	programs include the public headers and their own files.
# A file that is not in the table is an error: give it its place.
set -u

table='
0 vhdx vhdx_blk vhdx_edit base err names le guid utf16 crc32c list mem mutation version
0 vhdx_chain
0 mibmap bits unused
1 shift loop bufpool aio workers file file_direct dioalign file_posix posix_file posix_space opener opener_names lockinfo newfile file_copy
2 format format_bat format_log format_meta vhd1_format
3 mcache log replay replay_find file_overlay
4 header hdrwrite layout recover
5 bat space
6 image commit raw check check_file probe
6 create_plan vhdx_create vhdx_img vhdx_open vhdx_read vhdx_write vhdx_trim
6 vhdx_space vhdx_partial vhdx_child vhdx_log vhdx_check check_bat check_bat_clash check_bat_mend
6 check_header check_item check_locator check_meta check_region check_space
6 vhd1_image vhd1_open vhd1_load vhd1_bat vhd1_io vhd1_place vhd1_bitmap vhd1_flush
6 compact_run vhdx_compact vhdx_compact_bat
6 vhd1_create vhd1_check vhd1_check_child vhd1_parent vhd1_sectors vhd1_relink
6 vhd1_compact vhd1_compact_places
6 locator locator_path
6 vhdx_pages vhdx_items vhdx_relink vhdx_adopt vhdx_set
6 vhd1_set
7 relink disk_set chain_check
6 vhd1_resize vhd1_resize_fixed
6 blank image_size vhdx_resize vhdx_resize_bat
0 parttab
8 resize
7 chain
7 owner
7 family family_set family_link
8 range blk blk_gate blk_sync disk create edit
7 merge_journal
8 merge merge_plan merge_kin merge_copy merge_link merge_other merge_public
8 compact
'

includes()
{
	grep -nH '^[[:space:]]*#[[:space:]]*include "' "$@" /dev/null
}

{
	echo "$table" | awk 'NF { for (i = 2; i <= NF; i++) print "T", $1, $i }'
	for f in libvhdx/*.[ch]; do
		echo "F $f"
	done
	includes libvhdx/*.[ch] | sed 's/^/I /'
} | awk '
function stem(p)
{
	sub(/.*\//, "", p)
	sub(/\.[ch]$/, "", p)
	return p
}
function bad(why)
{
	print file ":" line ": includes \"" what "\": " why
	errors++
}
$1 == "T" { layer[$3] = $2; next }
$1 == "F" {
	files++
	there[stem($2)] = 1
	if (!(stem($2) in layer)) {
		print $2 ": not in the table of scripts/check-layers.sh"
		errors++
	}
	next
}
{
	split($2, at, ":")
	file = at[1]; line = at[2]
	split($0, q, "\"")
	what = q[2]; from = stem(file); to = stem(what)
	cnt++
	if (!(to in layer)) {
		bad("not a file of the library")
		next
	}
	a = layer[from]; b = layer[to]
	if (b > a)
		bad("L" a " includes L" b)
	if (a == 2 && b == 1)
		bad("a codec does no I/O")
	if (a >= 3 && a <= 5 && (to == "loop" || to == "workers"))
		bad("L3 to L5 use file.h")
	if (a == 8 && b >= 2 && b <= 6 && to != "image" && to != "newfile")
		bad("L8 sees images through image.h")
	if (a == 7 && b >= 2 && b <= 6 && to != "image" && to != "locator")
		bad("L7 sees images through image.h")
	common = to == "image" || to == "check" || to == "raw" || to == "locator" || to == "blank" || to == "compact_run"
	if (b >= 2 && !common && from != "probe" &&
	    (from ~ /^vhd1_/) != (to ~ /^vhd1_/))
		bad("VHD and VHDX are strangers")
}
END {
	for (name in layer)
		if (!(name in there)) {
			print name ": in the table, but there is no such file"
			errors++
		}
	if (!errors)
		print "layers: " files " files, " cnt " includes, all downward"
	exit errors > 0
}' || exit 1

# Programs. How they talk is in common/. Partition tables are for two of them,
# which link parttab_OBJS. What the VMM is made of stands on the base (L0): vmbus
# on nothing else, storvsp on channels and vhdx_blk.h; only the VMM's disk.c opens
# disks.
status=0
for file in common/*.[ch] vhdtool/*.[ch] vhdfsmap/*.[ch] vhdfuse/*.[ch] \
	vmbus/*.[ch] storvsp/*.[ch] vmm/*.[ch]; do
	[ -f "$file" ] || continue
	dir=${file%/*}
	for name in $(sed -n 's/^[ \t]*#[ \t]*include "\(.*\)".*/\1/p' "$file"); do
		case $dir:$name in
		vhdtool:say.h | vhdfuse:say.h | vmm:say.h) continue ;;
		vhdfuse:usock.h | vmm:usock.h) continue ;;
		common:base.h | common:err.h) continue ;;
		vhdfsmap:parttab.h | vhdfuse:parttab.h) continue ;;
		vm*:base.h | storvsp:base.h | vm*:le.h | storvsp:le.h) continue ;;
		vm*:err.h | storvsp:err.h | vm*:mem.h | storvsp:mem.h) continue ;;
		vm*:list.h | storvsp:list.h | vmm:guid.h | storvsp:guid.h) continue ;;
		vmbus:vhdx*) ;;
		storvsp:mutation.h | storvsp:chan.h | storvsp:ring.h | storvsp:gmem.h) continue ;;
		storvsp:vhdx.h | storvsp:vhdx_edit.h | storvsp:vhdx_chain.h) ;;
		vmm:chan.h | vmm:server.h | vmm:gmem.h | vmm:storvsp.h | vmm:scsi.h) continue ;;
		vhdfsmap:vhdx*) ;;
		vhdtool:fsmap_proto.h) continue ;;
		*:vhdx.h | *:vhdx_blk.h | *:vhdx_edit.h | *:vhdx_chain.h) continue ;;
		esac
		[ -f "$dir/$name" ] && continue
		echo "$file: includes \"$name\", which is not public"
		status=1
	done
done
if grep -n 'vhdx_open(' vmm/*.c vmbus/*.c storvsp/*.c | grep -v '^vmm/disk\.c:'; then
	echo "disks are opened in vmm/disk.c only"
	status=1
fi
exit $status
