#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The test of layers.sh: a small tree that keeps the rule passes, and each
# planted violation is found.
set -eu
layers=$(dirname "$0")/layers.sh
tree=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-layers.XXXXXX")
trap 'rm -rf "$tree"' EXIT
for dir in src/base src/codec src/fabric src/dialect cli bench tests; do
    mkdir -p "$tree/$dir"
done

# Writes the line to the file, and expects layers.sh to say so (or not).
plant()
{
    want=$1 file=$2 line=$3
    echo "$line" >"$tree/$file"
    got=pass
    sh "$layers" "$tree" >"$tree/out" 2>&1 || got=fail
    if [ "$got" != "$want" ]; then
        echo "'$line' in $file: expected $want, got $got"
        cat "$tree/out"
        exit 1
    fi
    if [ "$want" = fail ]; then
        grep -q "^$file:1: " "$tree/out" || { echo "$file is not named"; cat "$tree/out"; exit 1; }
        rm "$tree/$file"
    fi
}

plant pass src/op.h '#include "dialect/native.h"'
plant pass src/base/mem.h '#include <stddef.h>'
plant pass src/codec/ticket.c '#include "base/mem.h"'
plant pass src/fabric/shm.c '#include "codec/entry.h"'
plant pass src/fabric/ucx.c '#include <ucp/api/ucp.h>'
plant pass bench/raw.c '#include <ucp/api/ucp.h>'
plant pass cli/main.c '#include <nxconnect/nxconnect.h>'
plant pass bench/clock.c '#include "base/clock.h"'
plant fail src/base/up.c '#include "codec/entry.h"'
plant fail src/codec/up.c '#  include "fabric/fabric.h"'
plant fail src/fabric/up.h '#include "dialect/native.h"'
plant fail src/dialect/up.c '#include "op.h"'
plant fail src/dialect/dots.c '#include "../op.h"'
plant fail src/fabric/shm_fast.c '#include <ucp/api/ucp.h>'
plant fail src/api.c '#include <uct/api/uct.h>'
plant fail cli/inside.c '#include "base/mem.h"'
plant fail cli/dots.c '#include "../src/op.h"'
plant fail bench/inside.c '#include "fabric/fabric.h"'
echo "layers.sh finds every planted violation"
