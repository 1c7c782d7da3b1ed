#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A file that becomes shorter while it is offered is not taken for copied.
. "$(dirname "$0")/lib.sh"

for transport in shm tcp; do
    # By much: memory that was mapped is gone.
    head -c 20000000 /dev/urandom >"$dir/in/file"
    start offer "$dir/in/file" --transports $transport
    truncate -s 5000 "$dir/in/file"
    code=0
    timeout 30 "$nxconnect" fetch "$ticket" -o "$dir/out/file" --transports $transport 2>"$dir/err" || code=$?
    [ $code != 124 ] || die "fetch does not end"
    ended 1
    worker_says "shrank"
    [ $code = 0 ] || holds ''
    rm -f "$dir/out/file"

    # By a few bytes: only zeros on the last page tell of it.
    head -c 5000 /dev/urandom >"$dir/in/file"
    start offer "$dir/in/file" --transports $transport
    truncate -s 4990 "$dir/in/file"
    timeout 30 "$nxconnect" fetch "$ticket" -o "$dir/out/file" --transports $transport 2>"$dir/err"
    ended 1
    worker_says "shrank"
    rm -f "$dir/out/file"
done

# A file that grows is offered as it was.
printf hello >"$dir/in/file"
start offer "$dir/in/file"
printf ' world' >>"$dir/in/file"
expect 0 fetch "$ticket" -o "$dir/out/file"
ended 0
[ "$(cat "$dir/out/file")" = hello ] || die "got $(cat "$dir/out/file")"
