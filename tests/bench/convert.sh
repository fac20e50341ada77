# SPDX-License-Identifier: MIT
# Sourced by run.sh: copies between formats, through the page cache, beside
# cp --sparse=always of the raw file. Like cp and qemu-img, --no-sync leaves the
# work in the page cache. As it comes vhdtool ends when all is durable; that is
# for comparison with "cp; sync".

# A quarter of it random data, in pieces here and there.
convert_source()
{
	local i piece=$((mib / 16 > 0 ? mib / 16 : 1)) size
	size=$((piece * 64))
	head -c ${piece}M /dev/urandom >piece
	truncate -s ${size}M src.raw
	for ((i = 0; i < 16; i++)); do
		dd if=piece of=src.raw bs=1M seek=$(((i * 4 + i % 4) * piece)) \
			conv=notrunc status=none
	done
	rm piece
	"$vhdtool" convert src.raw src.vhdx
	sync src.raw src.vhdx
} >/dev/null

# copy_variants FORMAT TO: what the peers say to it
copy_variants()
{
	local clean="rm -f o.*; sync -f ." src=src.$1
	variant "cp" "cp --sparse=always src.raw o.cp" "$clean"
	variant "cp; sync" "cp --sparse=always src.raw o.cp; sync o.cp" "$clean"
	has qemu-img || return 0
	variant "qemu-img" "qemu-img convert -f $1 -O $2 $src o.$2" "$clean"
	variant "qemu-img -W -m 16" \
		"qemu-img convert -W -m 16 -f $1 -O $2 $src o.$2" "$clean"
}

bench_convert()
{
	local b clean="rm -f o.*; sync -f ."
	convert_source
	group "convert raw to vhdx, a quarter of $((mib * 4)) MiB data"
	copy_variants raw vhdx
	! has qemu-img || variant "qemu-img, 1M" \
		"qemu-img convert -f raw -O vhdx -o block_size=1M src.raw o.vhdx" "$clean"
	for b in 1M 16M 32M 256M; do
		variant "vhdtool $b" \
			"$vhdtool convert --no-sync --block-size $b src.raw o.vhdx" "$clean"
	done
	variant "vhdtool, durable" "$vhdtool convert src.raw o.vhdx" "$clean" "cp; sync"
	end_group
	row_ratio "convert raw to vhdx, blocks of 1M, to cp" cp "vhdtool 1M" 0.95 \
		"qemu-img, 1M"
	for b in 16M 32M 256M; do
		row_ratio "convert raw to vhdx, blocks of $b, to cp" cp \
			"vhdtool $b" 0.95 qemu-img "qemu-img -W -m 16"
	done

	for b in raw vhdx; do
		group "convert vhdx to $b, a quarter of $((mib * 4)) MiB data"
		copy_variants vhdx $b
		variant vhdtool "$vhdtool convert --no-sync src.vhdx o.$b" "$clean"
		variant "vhdtool, durable" "$vhdtool convert src.vhdx o.$b" \
			"$clean" "cp; sync"
		end_group
		row_ratio "convert vhdx to $b, to cp" cp vhdtool 1.0 qemu-img \
			"qemu-img -W -m 16"
	done

	cp --sparse=always src.raw same.raw
	group "compare, a quarter of $((mib * 4)) MiB data"
	variant "cmp, two raw files" "cmp src.raw same.raw"
	! has qemu-img || variant "qemu-img compare, raw and vhdx" \
		"qemu-img compare -f raw -F vhdx src.raw src.vhdx"
	variant "vhdtool compare, raw and vhdx" \
		"$vhdtool compare src.raw src.vhdx"
	variant "vhdtool compare, two raw files" \
		"$vhdtool compare src.raw same.raw"
	end_group
	rm -f o.* src.* same.raw
}
