# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the tests of nxconnect(1) share; each begins by reading this file. The
# command is named by NXCONNECT or the first argument. Nothing here can wait for
# ever: a worker has --timeout, everything else timeout(1).
set -u

die()
{
    echo "$0: $*" >&2
    [ ! -s "$dir/err" ] || sed 's/^/    said: /' "$dir/err" >&2
    [ ! -s "$dir/worker.err" ] || sed 's/^/    worker said: /' "$dir/worker.err" >&2
    exit 1
}

skip()
{
    echo "$0: skipped: $*" >&2
    exit 77
}

cleanup()
{
    [ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null
    rm -rf "$dir"
}

worker=
dir=$(mktemp -d)
trap cleanup EXIT
trap 'exit 1' INT TERM HUP
nxconnect=${NXCONNECT:-${1:-}}
case $nxconnect in
    */*) nxconnect=$(cd "$(dirname "$nxconnect")" && pwd)/${nxconnect##*/} ;;
esac
[ -x "$nxconnect" ] || die "give the command by NXCONNECT or as the first argument"
mkdir "$dir/in" "$dir/out"

# expect CODE ARGUMENTS...: runs nxconnect; what it prints is in $dir/stdout and $dir/err.
expect()
{
    want=$1
    shift
    code=0
    timeout -k 1 30 "$nxconnect" "$@" >"$dir/stdout" 2>"$dir/err" || code=$?
    [ "$code" = "$want" ] || die "nxconnect $*: exit code $code, not $want"
}

# says TEXT: the last expect said it.
says()
{
    grep -qF -- "$1" "$dir/err" || die "does not say '$1'"
}

prints()
{
    grep -qF -- "$1" "$dir/stdout" || die "does not print '$1' but: $(cat "$dir/stdout")"
}

# start COMMAND ARGUMENTS...: runs it in the background and sets $ticket to what it
# prints. An own --timeout comes last and wins.
start()
{
    mkfifo "$dir/pipe"
    command=$1
    shift
    "$nxconnect" "$command" --timeout 30 "$@" >"$dir/pipe" 2>"$dir/worker.err" &
    worker=$!
    # shellcheck disable=SC2034 # for the test
    IFS= read -r ticket <"$dir/pipe" || die "nxconnect $command $* gave no ticket"
    rm "$dir/pipe"
}

# ended CODE: the worker ends with it.
ended()
{
    code=0
    wait "$worker" || code=$?
    worker=
    [ "$code" = "$1" ] || die "the worker's exit code is $code, not $1"
}

worker_says()
{
    grep -qF -- "$1" "$dir/worker.err" || die "the worker does not say '$1'"
}

# holds NAMES...: just these files are in the folder for output, hidden ones too.
holds()
{
    want=$(printf '%s\n' "$@")
    [ "$(ls -A "$dir/out")" = "$want" ] || die "the folder holds '$(ls -A "$dir/out")', not '$want'"
}

same()
{
    [ "$(sha256sum <"$1")" = "$(sha256sum <"$2")" ] || die "$1 and $2 differ"
}
