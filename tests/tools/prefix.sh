#!/bin/bash
# SPDX-License-Identifier: MIT
# A command may be shortened while it stays unique; else the candidates are
# listed.
. "$(dirname "$0")/lib.sh"

vhdtool cr a.vhdx 10M >/dev/null
vhdtool inf a.vhdx >full
vhdtool i a.vhdx | cmp - full
status 0 vhdtool l s a.vhdx
status 2 vhdtool co a.vhdx
says err convert
says err compare
says_not err create
status 2 vhdtool c
says err check
status 2 vhdtool nonsense
says err nonsense
status 2 vhdtool log x a.vhdx
status 2 vhdtool
