#!/bin/bash
# SPDX-License-Identifier: MIT
# An installed libvhdx links, shared and static, and exports its public names only
set -eu
command -v pkg-config >/dev/null || { echo "pkg-config is missing"; exit 77; }
CC=${CC:-cc}

${MAKE:-make} -C "$SRC" --no-print-directory install-files \
	B="$BUILD" DESTDIR="$PWD/dest" PREFIX=/opt/v >/dev/null
root=$PWD/dest/opt/v
export PKG_CONFIG_PATH=$root/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/dest

cat > user.c <<'EOF'
#include <stdio.h>
#include <vhdx.h>
/* Names that the library uses inside must not clash with a program's. */
int err_raise(void) { return 1; }
int log_append(void) { return 2; }
unsigned crc32c(void) { return 3; }
int main(void)
{
	struct vhdx_err e;
	struct vhdx_blk *blk;
	int code = vhdx_open("/nonexistent", NULL, &blk, &e);
	printf("%s %u\n", vhdx_code_name(code), crc32c());
	return 0;
}
EOF

# shellcheck disable=SC2046 # words are wanted
{
	$CC -o shared user.c $(pkg-config --cflags --libs libvhdx)
	$CC -o static user.c $(pkg-config --cflags libvhdx) \
		"$root/lib/libvhdx.a" \
		$(sed -n 's/^Libs.private: //p' \
			"$root/lib/pkgconfig/libvhdx.pc")
}
[ "$(LD_LIBRARY_PATH=$root/lib ./shared)" = "NOTFOUND 3" ]
[ "$(./static)" = "NOTFOUND 3" ]
readelf -d shared | grep -q 'NEEDED.*\[libvhdx\.so\.[0-9]*\]'
if readelf -d static | grep -q 'NEEDED.*libvhdx'; then
	echo "the static program wants the shared library"
	exit 1
fi

# What is exported is what the public headers declare, no more and no less.
nm -D --defined-only "$root/lib/libvhdx.so" | awk '$2 == "T" { print $3 }' |
	sed 's/@.*//' | sort > exported
nm -g --defined-only "$root/lib/libvhdx.a" | awk 'NF == 3 { print $3 }' |
	sort > archived
cat "$root"/include/vhdx*.h |
	sed '/^ \*/d; /^typedef/d; s|/\*.*||' |
	grep -o '\bvhdx_[a-z_0-9]*(' | tr -d '(' | sort -u > declared
diff declared exported
diff declared archived

[ -x "$root/bin/vhdtool" ]
"$root/bin/vhdtool" --version | grep -q "^vhdtool $(pkg-config --modversion libvhdx)\$"
