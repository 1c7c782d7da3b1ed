#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Files of all sizes, both ways, with the ticket on every road.
. "$(dirname "$0")/lib.sh"

# both_ways FILE OPTIONS...: fetches it and sends it back.
both_ways()
{
    file=$1
    shift
    start offer "$file" "$@"
    expect 0 fetch "$ticket" -o "$dir/out/fetched" "$@"
    ended 0
    same "$file" "$dir/out/fetched"
    start accept -o "$dir/out/sent" --size "$(wc -c <"$file")" "$@"
    expect 0 send "$dir/out/fetched" "$ticket" "$@"
    ended 0
    same "$file" "$dir/out/sent"
    holds fetched sent
    rm "$dir/out/fetched" "$dir/out/sent"
}

: >"$dir/in/empty"
printf x >"$dir/in/one"
head -c 5000000 /dev/urandom >"$dir/in/name with spaces"
printf 'begin' >"$dir/in/sparse"
truncate -s 300M "$dir/in/sparse"
printf 'end' >>"$dir/in/sparse"

both_ways "$dir/in/empty"
both_ways "$dir/in/one"
both_ways "$dir/in/name with spaces"
both_ways "$dir/in/name with spaces" --transports tcp
both_ways "$dir/in/sparse"

# Standard output has the ticket, one line, and nothing else; then it is closed,
# so that its reader sees the end while the worker still waits.
mkfifo "$dir/pipe"
"$nxconnect" offer "$dir/in/one" --hex --timeout 30 >"$dir/pipe" 2>"$dir/worker.err" &
worker=$!
timeout 20 cat "$dir/pipe" >"$dir/ticket" || die "standard output stays open"
rm "$dir/pipe"
[ "$(wc -l <"$dir/ticket")" -eq 1 ] || die "not one line: $(cat "$dir/ticket")"
grep -Eqx '\{.*"nixl_metadata":"[0-9a-f]+".*\}' "$dir/ticket" || die "not a ticket in hex: $(cat "$dir/ticket")"

# By @file, then by standard input, which is not read to its end.
expect 0 show "@$dir/ticket"
mkfifo "$dir/stdin"
exec 3<>"$dir/stdin"
cat "$dir/ticket" >&3
expect 0 fetch - -o "$dir/out/one" --json <"$dir/stdin"
exec 3<&-
ended 0
same "$dir/in/one" "$dir/out/one"
grep -Eqx '\{"bytes":1,"seconds":[0-9.]+,"transport":"[^"]+"\}' "$dir/stdout" || die "bad --json: $(cat "$dir/stdout")"

# Plain lines: one at the start, one at the end. None with -q.
says "fetching $dir/out/one"
says "1 bytes in"
worker_says "offering"
start offer "$dir/in/one" -q
expect 0 fetch "$ticket" -o "$dir/out/quiet" -q
ended 0
cat "$dir/err" "$dir/worker.err" >"$dir/said"
[ ! -s "$dir/said" ] || die "--quiet is not"

# A ticket over several lines, as other programs write it.
start offer "$dir/in/one"
printf '%s\n' "$ticket" | sed 's/,"/,\n  "/g; s/^{/{\n  /' >"$dir/ticket"
expect 0 fetch - -o "$dir/out/lines" <"$dir/ticket"
ended 0

# Sizes in powers of 1024.
start accept -o "$dir/out/big" --size 2m
head -c 2097152 "$dir/in/sparse" >"$dir/in/two"
expect 0 send "$dir/in/two" "$ticket"
ended 0
same "$dir/in/two" "$dir/out/big"
