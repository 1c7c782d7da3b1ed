#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The original's packages, for the tests against them, in a folder outside the tree.
# usage: env.sh make              makes it where it is missing, and prints where it is
#        env.sh run PROGRAM...    runs a test in it
#        env.sh newer-ucx PROGRAM...    the same, our side with the newer UCX
# Exits 77, and says why, where that can't be done here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# Debian's own: its torch and numpy are for this one only.
python=/usr/bin/python3

# The folder's name is a hash of this list: another list is another environment.
# where | what for pip
wanted='
venv|--no-deps nixl==1.5.1 nixl-cu12==1.5.1 nixl-cu13==1.5.1 ai-dynamo-runtime==1.6.1
venv|pydantic==2.13.5 uvloop==0.23.0
older|--no-deps nixl-cu12==0.10.1
ucx|--no-deps libucx-cu13==1.22.0'

skip()
{
    echo "skipped: $*" >&2
    exit 77
}

# ---- making it --------------------------------------------------------------

install_all()
{
    "$python" -m venv --system-site-packages "$1/venv" || return 1
    echo "$wanted" | while IFS='|' read -r where what; do
        target=
        case $where in
        '') continue ;;
        venv) ;;
        *) target="--target $1/$where" ;;
        esac
        # A requirement is several words.
        # shellcheck disable=SC2086
        "$1/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts $target $what \
            </dev/null || return 1
    done
}

# One test makes it, others that come meanwhile wait. It is built beside its place
# and gets its name when it is whole, so that a half one is never found.
make_it()
{
    mkdir -p "$(dirname "$env")" || skip "can't make $(dirname "$env")"
    exec 9>"$env.lock"
    flock 9
    [ ! -d "$env" ] || return 0
    "$python" -c 'import ensurepip, numpy, torch' 2>/dev/null || skip "no $python with venv, numpy and torch"
    rm -rf "$env.new"
    if ! install_all "$env.new" >&2; then
        rm -rf "$env.new"
        skip "the packages could not be installed (no network?)"
    fi
    mv "$env.new" "$env"
}

# ---- running in it ----------------------------------------------------------

# Their UCX and ours agree about every kind of device but the loopback (docs/interop.md).
has_network()
{
    [ -n "$(ip -o address show scope global up 2>/dev/null)" ]
}

run_in_it()
{
    [ -d "$env" ] || skip "the original's packages are not here; the test interop_env says why"
    has_network || skip "no network device but the loopback"
    export PYTHONDONTWRITEBYTECODE=1
    export NXC_INTEROP_PYTHON="$env/venv/bin/python" NXC_INTEROP_SCRIPTS="$here" NXC_INTEROP_OLDER="$env/older"
    exec "$@"
}

[ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || skip "neither XDG_CACHE_HOME nor HOME is set"
hash=$(echo "$wanted" | sha256sum | cut -c1-12)
env=${XDG_CACHE_HOME:-$HOME/.cache}/nxconnect/interop-$hash

command=${1:-}
[ $# = 0 ] || shift
case $command in
make) make_it && echo "$env" ;;
run) run_in_it "$@" ;;
newer-ucx)
    export NXC_INTEROP_UCX="$env/ucx/libucx/lib"
    export LD_LIBRARY_PATH="$NXC_INTEROP_UCX"
    run_in_it "$@" ;;
*) sed -n '3,7s/^# //p' "$0" >&2; exit 2 ;;
esac
