# SPDX-License-Identifier: MIT
# Sourced by run.sh: a disk of 64 TiB in blocks of 1 MiB. Its BAT has 64 Mi
# entries, 512 MiB.

# cost_of FIELD CMD: one of those cost prints, of one run; nothing if it fails
cost_of()
{
	"$cost" wall bash -c "exec $2" 2>/dev/null |
		sed -n "s/^cost:.* $1 \([^ ]*\).*/\1/p"
}

# ms SECONDS, mib_of KIB
ms() { [ -n "$1" ] && awk "BEGIN { printf \"%.1f ms\\n\", $1 * 1000 }" || echo -; }
mib_of() { [ -n "$1" ] && awk "BEGIN { printf \"%.1f MiB\\n\", $1 / 1024 }" || echo -; }

create_row()
{
	local s kib theirs="not here" met=0 q
	s=$(median vhdtool)
	kib=$(du -k h.vhdx | cut -f 1)
	q=$(median qemu-img)
	[ -z "$q" ] || theirs="qemu-img $(ms "$q"), $(mib_of "$(du -k q.vhdx | cut -f 1)")"
	! at_most "$s" 0.010 || ! at_most "$kib" $((16 * 1024)) || met=1
	row "create 64 TiB, blocks of 1M; space" "$theirs" \
		"$(ms "$s"), $(mib_of "$kib")" "<= 10 ms, a few MiB" $met
}

open_row()
{
	local s kib theirs="" met=0 name
	s=$(median "vhdtool, its own")
	kib=$(cost_of rss "$vhdtool info h.vhdx")
	for name in qemu-img vhdiinfo; do
		has $name || continue
		local cmd="$name h.vhdx"
		[ $name = vhdiinfo ] || cmd="qemu-img info q.vhdx"
		theirs+="${theirs:+; }$name $(ms "$(median "$name")"), $(mib_of "$(cost_of rss "$cmd")")"
	done
	! at_most "$s" 0.005 || ! at_most "$kib" 8192 || met=1
	row "open 64 TiB, blocks of 1M; memory" "${theirs:-not here}" \
		"$(ms "$s"), $(mib_of "$kib")" "<= 5 ms, <= 8 MiB" $met
}

bench_huge()
{
	group "create 64 TiB, blocks of 1 MiB"
	variant vhdtool "$cost wall $vhdtool create --block-size 1M h.vhdx 64T" \
		"rm -f h.vhdx"
	! has qemu-img || variant qemu-img \
		"$cost wall qemu-img create -q -f vhdx -o block_size=1M q.vhdx 64T" \
		"rm -f q.vhdx"
	end_group
	create_row

	group "open 64 TiB, blocks of 1 MiB"
	variant "vhdtool, its own" "$cost wall $vhdtool info h.vhdx"
	if has qemu-img; then
		variant "vhdtool, qemu's" "$cost wall $vhdtool info q.vhdx"
		variant qemu-img "$cost wall qemu-img info q.vhdx"
	fi
	! has vhdiinfo || variant vhdiinfo "$cost wall vhdiinfo h.vhdx"
	end_group
	open_row
	rm -f q.vhdx

	# Every hundredth block there (its content a hole), then every one zero.
	"$vhdtool" create --block-size 1M m.vhdx 64T >/dev/null
	"$vhdtool" create --block-size 1M z.vhdx 64T >/dev/null
	"$fillbat" m.vhdx 100 data || "$fillbat" m.vhdx 1000 data
	"$fillbat" z.vhdx 1 zero
	group "first request to 64 TiB, the process included"
	variant "open only" "$cost wall $vhdtool info m.vhdx"
	variant "read, empty" "$cost wall $vhdtool bench --count 1 h.vhdx"
	variant "read, 1 % there" "$cost wall $vhdtool bench --count 1 m.vhdx"
	variant "write, empty" "$cost wall $vhdtool bench --op write --count 1 h.vhdx"
	variant "write, 1 % there" \
		"$cost wall $vhdtool bench --op write --count 1 m.vhdx"
	variant "map, empty" "$vhdtool map h.vhdx >/dev/null"
	variant "map, every block zero" "$vhdtool map z.vhdx >/dev/null"
	end_group
	rm -f h.vhdx m.vhdx z.vhdx
}
