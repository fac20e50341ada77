#!/bin/bash
# SPDX-License-Identifier: MIT
# An image that Hyper-V left dirty is read as after replay without changing a
# byte of it; log replay makes the file itself say the same, and sound.
. "$(dirname "$0")/lib.sh"

name=iotest-dirtylog-10G-4M.vhdx
real_image $name
chmod a-w $name
before=$(sum $name)
times=$(stat -c '%y %z' $name)
vhdtool info $name >info
says info DIRTY
says info "log replay"
vhdtool info --json $name >info
equal dirty "$(json log_dirty info)" true
vhdtool log show $name >log
says log DIRTY
vhdtool log show --json $name >log
equal state "$(json state log)" dirty
vhdtool convert --to raw $name out.raw >/dev/null
equal size "$(stat -c %s out.raw)" "$(manifest $name 1)"
equal content "$(sum out.raw)" "$(manifest $name 2)"
status 0 vhdtool check $name
vhdtool map $name >/dev/null
equal "the file after reading" "$(sum $name)" "$before"
equal "its times" "$(stat -c '%y %z' $name)" "$times"

chmod u+w $name
status 0 vhdtool log replay $name
says out replayed
vhdtool info --json $name >info
equal dirty "$(json log_dirty info)" false
[ "$(sum $name)" != "$before" ] || fail "replay changed nothing"
status 0 vhdtool check $name
says out "sound"
status 0 vhdtool compare --strict $name out.raw
status 0 vhdtool log replay $name
says out "was clean"
