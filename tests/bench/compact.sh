# SPDX-License-Identifier: MIT
# Sourced by run.sh.

# Fully allocated, a quarter of it data, in blocks of 16 MiB; the rest zeros
# that were written.
bench_compact()
{
	local size=$((mib * 4))
	head -c 1M /dev/zero | tr '\0' '\132' >piece
	{
		local i j
		for ((i = 0; i < size / 64; i++)); do
			for ((j = 0; j < 16; j++)); do cat piece; done
			head -c 48M /dev/zero
		done
	} >full.raw
	"$vhdtool" create --block-size 16M d.vhdx ${size}M >/dev/null
	"$vhdtool" write --offset 0 d.vhdx <full.raw >/dev/null
	rm -f full.raw
	group "compact of $size MiB, three quarters of it zeros"
	variant "read FILE once" "cat w.vhdx >/dev/null" \
		"rm -f w.*; cp --sparse=never d.vhdx w.vhdx; sync w.vhdx"
	# What the host takes for giving back the space alone.
	variant "truncate to a quarter" "truncate -s $((size / 4))M w.vhdx; sync w.vhdx" \
		"rm -f w.*; cp --sparse=never d.vhdx w.vhdx; sync w.vhdx"
	! can compact || variant "vhdtool compact" "$vhdtool compact w.vhdx" \
		"rm -f w.*; cp --sparse=never d.vhdx w.vhdx; sync w.vhdx"
	! has qemu-img || variant "qemu-img convert" \
		"qemu-img convert -f vhdx -O vhdx w.vhdx o.vhdx" \
		"rm -f o.* w.*; cp --sparse=never d.vhdx w.vhdx; sync w.vhdx"
	end_group
	rm -f d.* w.* o.* piece
}
