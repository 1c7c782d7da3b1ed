#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The example with a Python half: the C program prints the numbers that Python printed
# of its own. usage, by env.sh run: example_test.sh FETCH EXAMPLES
set -eu
fetch=$1 examples=$2
tmp=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-example.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

die()
{
    echo "$*"
    sed 's/^/theirs: /' "$tmp/theirs"
    sed 's/^/ours: /' "$tmp/ours"
    exit 1
}

# Python's last line is its result: how its interpreter exits after that means nothing.
timeout 60 "$NXC_INTEROP_PYTHON" "$examples/embeddings.py" 2>"$tmp/theirs" |
    timeout 60 "$fetch" >"$tmp/ours" 2>&1 || die "the C half failed"
grep -qx 'all of it was read' "$tmp/theirs" || die "the Python half failed"
grep '\.\.\.$' "$tmp/theirs" >"$tmp/want" || die "the Python half says no numbers"
cmp "$tmp/want" "$tmp/ours" || die "the numbers differ"
