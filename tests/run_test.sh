#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ./run on a distribution that it does not know: names what is missing, with what
# it is for, and does nothing. usage: run_test.sh ROOT
set -eu
root=$1
tmp=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-run.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# A machine with next to nothing: the shell's own tools, and a fake apt-get that
# must not be called.
mkdir "$tmp/bin" "$tmp/tree"
for tool in sh cat cut dirname grep id sed; do
    ln -s "$(command -v $tool)" "$tmp/bin/$tool"
done
printf '#!/bin/sh\ntouch "%s/called"\n' "$tmp" >"$tmp/bin/apt-get"
chmod +x "$tmp/bin/apt-get"
cp "$root/run" "$tmp/tree/run"
printf 'ID=other\n' >"$tmp/os-release"

die()
{
    echo "$*"
    cat "$tmp/out"
    exit 1
}

code=0
PATH=$tmp/bin OS_RELEASE=$tmp/os-release sh "$tmp/tree/run" build >"$tmp/out" 2>&1 || code=$?
[ $code = 1 ] || die "code $code, not 1"
for line in "cmake: describes the build" "gcc: compiles C" "ninja-build: runs the build"; do
    grep -qF "  $line" "$tmp/out" || die "does not say '$line'"
done
[ ! -e "$tmp/called" ] || die "called apt-get"
[ ! -e "$tmp/tree/build" ] || die "began to build"

code=0
PATH=$tmp/bin sh "$tmp/tree/run" nonsense >"$tmp/out" 2>&1 || code=$?
[ $code = 2 ] || die "a command that there is not: code $code, not 2"
PATH=$tmp/bin sh "$tmp/tree/run" help >"$tmp/out" 2>&1 || die "help fails"
grep -q 'run COMMAND' "$tmp/out" || die "help does not help"
