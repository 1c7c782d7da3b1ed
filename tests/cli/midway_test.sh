#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ends one side in the middle of a transfer ends the other, with the right
# code. A slow network, in a name space of its own, makes sure that it is the middle.
. "$(dirname "$0")/lib.sh"

if [ -z "${NXC_UNSHARED:-}" ]; then
    for tool in unshare ip tc script stdbuf; do
        command -v $tool >/dev/null || skip "no $tool here"
    done
    unshare -rn true 2>/dev/null || skip "no private network name space here"
    code=0
    NXC_UNSHARED=1 unshare -rn sh "$0" "$nxconnect" || code=$?
    exit $code
fi
ip link set lo up mtu 1500 || skip "loopback can't be set up"
tc qdisc add dev lo root tbf rate 40mbit burst 128kb latency 50ms 2>/dev/null || skip "no token bucket in this kernel"

head -c 40000000 /dev/urandom >"$dir/in/file"
mkfifo "$dir/keys" "$dir/screen"
terminal=

# Fetches $ticket on a terminal of its own; returns when the bar tells of progress.
fetch_half()
{
    # $$ is the shell's number, and exec makes it nxconnect's.
    cat >"$dir/job" <<JOB
echo \$\$ >"$dir/pid"
exec "$nxconnect" fetch '$ticket' -o "$dir/out/file" --transports tcp --timeout 30
JOB
    # A shell starts its background jobs with SIGINT ignored, and so would Ctrl-C be. The
    # exec: Ctrl-C is for all on the terminal, and script gives the code of the shell it started.
    env --default-signal=INT script -qefc "exec sh $dir/job" /dev/null <"$dir/keys" >"$dir/screen" &
    terminal=$!
    exec 4>"$dir/keys" 3<"$dir/screen"
    stdbuf -o0 tr '\r' '\n' <&3 | tee "$dir/err" | grep -Eqm1 '[1-9][0-9]*% .*tcp' || die "no progress is shown"
    cat <&3 >"$dir/err" & # or the terminal would wait for its reader
    reader=$!
    fetcher=$(cat "$dir/pid")
}

# fetch_ended CODES: fetch ends with one of them and leaves nothing behind.
fetch_ended()
{
    code=0
    wait $terminal || code=$?
    exec 4>&- 3<&-
    wait $reader
    case " $1 " in
        *" $code "*) ;;
        *) die "fetch: exit code $code, not $1" ;;
    esac
    holds ''
}

start offer "$dir/in/file"
fetch_half
printf '\003' >&4 # Ctrl-C
fetch_ended 1
says interrupted
ended 1
worker_says "by the peer"

start offer "$dir/in/file"
fetch_half
kill -TERM "$worker"
ended 1
worker_says interrupted
fetch_ended 1
says "by the peer"

start offer "$dir/in/file"
fetch_half
kill -KILL "$worker"
wait "$worker" 2>/dev/null
worker=
fetch_ended 5

start offer "$dir/in/file"
fetch_half
kill -KILL "$fetcher"
ended 5
fetch_ended 137

start offer "$dir/in/file" --timeout 2
fetch_half
ended 4
fetch_ended 4

start offer "$dir/in/file"
fetch_half
truncate -s 100000 "$dir/in/file"
ended 1
worker_says shrank
fetch_ended "1 5" # told so, or left with half a frame
