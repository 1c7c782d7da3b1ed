#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# env.sh where the packages can't be had: exits 77, says why, leaves nothing half made.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-env.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# expect TEXT COMMAND...: it is skipped with that reason.
expect()
{
    want=$1
    shift
    code=0
    "$@" >"$tmp/out" 2>&1 || code=$?
    [ $code = 77 ] || { echo "'$*' exits $code, not 77"; cat "$tmp/out"; exit 1; }
    grep -q "^skipped: .*$want" "$tmp/out" || { echo "'$*' does not say '$want'"; cat "$tmp/out"; exit 1; }
}

# No index and nowhere else to look is what pip sees of a machine without a network.
expect 'could not be installed\|no /usr/bin/python3' env XDG_CACHE_HOME="$tmp" PIP_NO_INDEX=1 PIP_FIND_LINKS= \
    sh "$here/env.sh" make
expect 'interop_env says why' env XDG_CACHE_HOME="$tmp" sh "$here/env.sh" run true
expect 'HOME' env -u HOME -u XDG_CACHE_HOME sh "$here/env.sh" make
ls "$tmp"/nxconnect/*.new >/dev/null 2>&1 || exit 0
echo "half an environment is left"
exit 1
