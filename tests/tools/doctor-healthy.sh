#!/bin/bash
# SPDX-License-Identifier: MIT
# A healthy folder is drawn as trees, ends with status 0, and not a byte or a
# time of it changes.
. "$(dirname "$0")/lib.sh"

mkdir vm vm/sub pool
vhdtool create pool/gold.vhdx 10M >/dev/null
vhdtool create --parent pool/gold.vhdx vm/b.avhdx >/dev/null
vhdtool create --parent vm/b.avhdx vm/c.avhdx >/dev/null
vhdtool create --parent vm/b.avhdx vm/d.avhdx 20M >/dev/null
vhdtool create --parent vm/d.avhdx vm/sub/e.avhdx >/dev/null
vhdtool create vm/x.vhd 10M >/dev/null
truncate -s 10M vm/raw.img
ln -s x.vhd vm/same.vhd
ln vm/x.vhd vm/again.vhd
ln -s nowhere.vhdx vm/dangling.vhdx
state() { find vm pool -printf '%p %i %s %T@ %C@\n' | sort; }
state >before

status 0 vhdtool doctor vm
equal picture "$(sed -n '1,/^$/s/: .*//p' out)" "vm/again.vhd
vm/../pool/gold.vhdx
\`-- vm/b.avhdx
    |-- vm/c.avhdx
    \`-- vm/d.avhdx"
equal health "$(grep -c ': ok$' out)" 5
says out "vm/d.avhdx: differencing vhdx, 20 MiB, "
says out "5 images, 0 errors, 0 warnings: all is well"
equal "said" "$(cat err)" ""

status 0 vhdtool doctor --recursive vm
says out "        \`-- vm/sub/e.avhdx"
status 0 vhdtool doctor --apply --recursive vm pool
says_not out done:
status 0 vhdtool doctor vm/c.avhdx
state | diff before - || fail "something changed"

# Nothing there is healthy too; a folder that is not there is not.
mkdir none
status 0 vhdtool doctor none
says out "0 images"
status 3 vhdtool doctor nowhere
status 3 vhdtool doctor --search nowhere none
status 2 vhdtool doctor

# A search folder counts as far as it belongs to what was asked for.
vhdtool create pool/other.vhdx 10M >/dev/null
status 0 vhdtool doctor --search pool vm
says_not out other.vhdx
