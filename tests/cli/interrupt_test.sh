#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Signals, deadlines and deaths end what waits, with the right code.
. "$(dirname "$0")/lib.sh"

echo hello >"$dir/in/file"

for signal in TERM HUP INT; do
    # A shell starts its background jobs with SIGINT ignored.
    mkfifo "$dir/pipe"
    env --default-signal=INT "$nxconnect" accept -o "$dir/out/file" --size 9 --timeout 30 >"$dir/pipe" 2>"$dir/worker.err" &
    worker=$!
    IFS= read -r ticket <"$dir/pipe" || die "no ticket"
    rm "$dir/pipe"
    kill -$signal $worker
    ended 1
    worker_says interrupted
    holds ''
done

# Who was told to ignore a signal does: nohup keeps working.
mkfifo "$dir/pipe"
(trap '' HUP && exec "$nxconnect" offer "$dir/in/file" --timeout 30 >"$dir/pipe" 2>"$dir/worker.err") &
worker=$!
IFS= read -r ticket <"$dir/pipe" || die "no ticket"
rm "$dir/pipe"
kill -HUP $worker
expect 0 fetch "$ticket" -o "$dir/out/file"
ended 0
rm "$dir/out/file"

# Nobody came in time.
expect 4 offer "$dir/in/file" --timeout 0.2
expect 4 accept -o "$dir/out/file" --size 9 --timeout 0.2
holds ''

# The worker is frozen: who fetches gives up at its own deadline, or is interrupted.
start offer "$dir/in/file"
kill -STOP "$worker"
expect 4 fetch "$ticket" -o "$dir/out/file" --timeout 0.5
holds ''
mkfifo "$dir/said"
"$nxconnect" fetch "$ticket" -o "$dir/out/file" --timeout 30 2>"$dir/said" &
fetcher=$!
exec 3<"$dir/said"
IFS= read -r _ <&3 || die "fetch says nothing"
kill -TERM $fetcher
cat <&3 >"$dir/err"
exec 3<&-
code=0
wait $fetcher || code=$?
[ $code = 1 ] || die "interrupted fetch: exit code $code"
says interrupted
holds ''

# The worker is dead.
kill -KILL "$worker"
wait "$worker" 2>/dev/null
worker=
expect 5 fetch "$ticket" -o "$dir/out/file"
holds ''
