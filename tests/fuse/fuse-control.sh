#!/bin/bash
# SPDX-License-Identifier: MIT
# The control socket answers status, is for its owner only, and survives
# whatever is sent to it.
. "$(dirname "$0")/lib.sh"
requires python3 jq

vhdtool create base.vhdx 16M >/dev/null
vhdtool create --parent base.vhdx d.vhdx >/dev/null
mount_it d.vhdx m
equal mode "$(stat -c %a m.sock)" 600
equal "in info.json" "$(jq -r .control m/info.json)" "$PWD/m.sock"
pattern 1 2M | dd of=m/disk bs=64K conv=notrunc iflag=fullblock status=none
ask m.sock '{"command":"status","id":"x7"}' >got
equal id "$(jq -r .id got)" x7
equal image "$(jq -r .result.image got)" "$PWD/d.vhdx"
equal parent "$(jq -r '.result.chain[1].file' got)" "$PWD/base.vhdx"
equal written "$(jq .result.write.bytes got)" 2097152
equal flight "$(jq .result.in_flight got)" 0
equal unflushed "$(jq .result.unflushed got)" false
for bad in '' '{' '[]' '7' '{"command":7}' '{"command":"destroy"}' '{}' \
	"$(printf '[%.0s' $(seq 100))" $'\x01\xff' '{"command":"status'; do
	ask m.sock "$bad" >got
	jq -e .error.code got >/dev/null || fail "no error for: $bad"
done
timeout 20 python3 - "$PWD/m.sock" <<'END' || fail "hostile clients"
import os, socket, sys, time
def client():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(sys.argv[1])
    return s
# A line without an end is hung up on.
s = client()
try:
    for i in range(64):
        s.sendall(b"x" * 1024)
    assert s.recv(1) == b""
except (BrokenPipeError, ConnectionResetError):
    pass
# One who asks and does not read, and more of them than there is room for.
crowd = []
for i in range(20):
    try:
        s = client()
        crowd.append(s)
        s.setblocking(False)
        for i in range(1000):
            s.send(b'{"command":"status"}\n')
    except OSError:
        pass
for s in crowd:
    s.close()
# Two questions in one packet, in order.
for i in range(200):
    a = b = ""
    time.sleep(0.02)
    try:
        s = client()
        s.sendall(b'{"command":"status","id":1}\n{"command":"x","id":2}\n')
        f = s.makefile()
        a, b = f.readline(), f.readline()
        if a:
            break
    except OSError:
        pass
assert '"id":1' in a and '"id":2' in b, (a, b)
END
equal size "$(stat -c %s m/disk)" 16777216
unmount_it m
[ ! -e m.sock ] || fail "the socket is left"
