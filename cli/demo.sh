#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The main job, by the command given as $1: worker A offers a file and worker B
# fetches it; then A accepts a file and B sends it back. ./run demo calls this.
set -eu
nxconnect=$1
size=268435456 # 256 MiB

# The folder may be read by nobody else: the tickets in it are secrets.
dir=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-demo.XXXXXX")
worker=

# Whatever ends the demo: worker A is told to stop, nothing stays behind.
cleanup()
{
    [ -z "$worker" ] || kill "$worker" 2>/dev/null || :
    wait
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

die()
{
    echo "demo: $*" >&2
    [ ! -s "$dir/log" ] || sed 's/^/demo: worker A: /' "$dir/log" >&2
    exit 1
}

# Real bytes of this machine. tar complains of files that it may not read, and
# of the pipe that closes when there is enough.
pack()
{
    free=$(df -Pk "$dir" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt $((size * 3 / 1024)) ] || die "needs 768 MiB in ${TMPDIR:-/tmp} (TMPDIR names another place)"
    tar -cf - /usr/lib /usr/include /usr/bin /usr/share /usr/sbin 2>/dev/null | head -c $size >"$dir/file" || :
    [ -s "$dir/file" ] || die "found no files to pack"
}

# Starts worker A with the given arguments and waits for its ticket, on a pipe:
# a worker that ends without one closes it, so this can't wait for ever.
start_worker()
{
    rm -f "$dir/pipe"
    mkfifo "$dir/pipe"
    "$nxconnect" "$@" >"$dir/pipe" 2>"$dir/log" &
    worker=$!
    exec 3<"$dir/pipe"
    read -r ticket <&3 || die "worker A gave no ticket"
    printf '%s\n' "$ticket" >"$dir/ticket"
}

end_worker()
{
    code=0
    wait "$worker" || code=$?
    worker=
    exec 3<&-
    [ $code = 0 ] || die "worker A ended with code $code"
}

sum()
{
    sha256sum <"$1" | cut -d' ' -f1
}

# The copy has the original's SHA-256, or the demo has failed.
compare()
{
    got=$(sum "$dir/$1")
    [ "$got" = "$want" ] || die "$1 has SHA-256 $got, the original $want"
}

# A line of the table at the end, from the JSON that the command printed.
report()
{
    sed 's/[{}"]//g; s/[:,]/ /g' "$dir/$1.json" | awk -v name="$1" '
        { printf "%-8s %11d bytes %8.3f s %8.2f GB/s   %s\n", name, $2, $4, $2 / $4 / 1e9, $6 }'
}

echo "demo: packing files of this machine" >&2
pack
bytes=$(wc -c <"$dir/file")
want=$(sum "$dir/file")

echo "demo: worker A offers them, worker B fetches them" >&2
start_worker offer "$dir/file"
offered=$ticket
"$nxconnect" fetch --json "@$dir/ticket" -o "$dir/copy" >"$dir/fetched.json" || die "worker B could not fetch"
end_worker
compare copy

echo "demo: worker A accepts as many, worker B sends them back" >&2
start_worker accept -o "$dir/copy-back" --size "$bytes"
"$nxconnect" send --json "$dir/copy" "@$dir/ticket" >"$dir/sent.json" || die "worker B could not send"
end_worker
compare copy-back

echo "demo: both copies have the SHA-256 of the original, $want" >&2
report fetched
report sent
echo "the ticket of the first:"
printf '%s\n' "$offered"
