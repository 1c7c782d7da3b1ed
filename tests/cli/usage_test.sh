#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Wrong command lines end with 2 and say what is wrong.
. "$(dirname "$0")/lib.sh"

while read -r line; do
    # shellcheck disable=SC2086 # the words of a line are the arguments
    expect 2 $line
    [ -s "$dir/err" ] || die "'$line' ends without a word"
    [ ! -s "$dir/stdout" ] || die "'$line' prints to standard output"
done <<'LINES'

nosuch
--nosuch
help nosuch
offer
offer a b
offer a --nosuch
offer a --json
offer a --timeout
offer a --timeout 0
offer a --timeout -1
offer a --timeout 1x
offer a --timeout nan
offer a --timeout 1e300
fetch
fetch x
fetch x -o
fetch x --size 1 -o y
accept
accept -o x
accept --size 1
accept -o x --size
accept -o x --size -1
accept -o x --size 1.5
accept -o x --size 1KB
accept -o x --size K
accept -o x --size 99999999999999999999
accept -o x --size 8388608T
accept word -o x --size 1
send a
send a b c
show
show a b
check a
bench a
bench --rounds 0
bench --rounds x
LINES

# What only the library can judge is the command line's fault too.
echo x >"$dir/in/file"
expect 2 offer "$dir/in/file" --transports nosuch
says nosuch
expect 2 offer "$dir/in/file" --listen nosuchdevice0
says nosuchdevice0

for command in offer fetch accept send show check bench; do
    expect 0 help $command
    prints "usage: nxconnect $command"
    expect 0 $command --help
    prints "usage: nxconnect $command"
done
expect 0 help
prints "nxconnect offer FILE"
expect 0 --help
expect 0 --version
grep -Eqx 'nxconnect [0-9]+\.[0-9]+\.[0-9]+' "$dir/stdout" || die "bad version line"

# What can't be printed has failed.
code=0
"$nxconnect" --version >/dev/full 2>"$dir/err" || code=$?
[ $code = 1 ] || die "--version to a full device: exit code $code"
code=0
"$nxconnect" offer "$dir/in/file" --timeout 20 >&- 2>"$dir/err" || code=$?
[ $code = 1 ] || die "offer with standard output closed: exit code $code"
