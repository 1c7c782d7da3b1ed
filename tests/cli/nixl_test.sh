#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Files by NIXL's dialect, over UCX: who admits it says so, who uses the ticket sees it.
. "$(dirname "$0")/lib.sh"

head -c 3000000 /dev/urandom >"$dir/in/file"
"$nxconnect" check >"$dir/checked"
grep -q '^ucx *ok' "$dir/checked" || skip "$(grep '^ucx' "$dir/checked")"

# For both kinds of workers; native ones take the better road.
start offer "$dir/in/file" --nixl --timeout 20
expect 0 show "$ticket"
prints native
prints "NIXL over UCX"
expect 0 fetch "$ticket" -o "$dir/out/file" --json
prints '"transport":"shm"'
ended 0
same "$dir/in/file" "$dir/out/file"

# Told to take NIXL's: in both directions.
start offer "$dir/in/file" --nixl --timeout 20
expect 0 fetch "$ticket" -o "$dir/out/two" --require ucx --json
prints '"transport":"ucx"'
ended 0
same "$dir/in/file" "$dir/out/two"
start accept -o "$dir/out/three" --size 3000000 --nixl --transports ucx --timeout 20
expect 0 show "$ticket"
prints "NIXL over UCX"
if grep -q native "$dir/stdout"; then die "a ticket for ucx only tells of native"; fi
expect 0 send "$dir/in/file" "$ticket"
ended 0
same "$dir/in/file" "$dir/out/three"

# Who does not admit it can't be reached by it.
start offer "$dir/in/file" --timeout 20
expect 5 fetch "$ticket" -o "$dir/out/four" --require ucx
says "native worker"
expect 1 offer "$dir/in/file" --transports ucx
says "NXC_PEERS_ANY"

# Nobody tells the offering side that the other is gone: its own limit ends it.
kill -TERM "$worker"
ended 1
start offer "$dir/in/file" --nixl --transports ucx --timeout 0.3
ended 4
worker_says "may still reach the memory"

# Without the module the command says what is missing.
[ ! -e /usr/local/lib/libnxconnect-ucx.so ] || exit 0
mkdir "$dir/alone"
cp "$nxconnect" "$dir/alone/nxconnect"
lib=$(dirname "$nxconnect")/libnxconnect.so.0
[ ! -e "$lib" ] || cp "$lib" "$dir/alone/"
nxconnect=$dir/alone/nxconnect
expect 1 offer "$dir/in/file" --nixl
says "libnxconnect-ucx.so"
