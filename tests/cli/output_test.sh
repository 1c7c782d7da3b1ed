#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No half file under the final name, none left beside it, and none overwritten.
. "$(dirname "$0")/lib.sh"

echo new >"$dir/in/file"
echo old >"$dir/out/file"
start offer "$dir/in/file"

expect 1 fetch "$ticket" -o "$dir/out/file"
says "exists already"
[ "$(cat "$dir/out/file")" = old ] || die "the old file was touched"
ln -s nowhere "$dir/out/link"
for name in out out/link out/ out/nosuch/file; do
    for force in '' --force; do
        # shellcheck disable=SC2086
        expect 1 fetch "$ticket" -o "$dir/$name" $force
        [ "$(wc -l <"$dir/err")" -eq 1 ] || die "more than a line about $name"
    done
done
rm "$dir/out/link"
holds file

# What was refused has not used the ticket.
(umask 027 && expect 0 fetch "$ticket" -o "$dir/out/file" --force) || exit 1
ended 0
same "$dir/in/file" "$dir/out/file"
[ "$(stat -c %a "$dir/out/file")" = 640 ] || die "the mode is not what umask says"
holds file

# A relative name, as it is mostly given.
start offer "$dir/in/file"
(cd "$dir/out" && expect 0 fetch "$ticket" -o relative) || exit 1
ended 0
holds file relative
rm "$dir/out/relative"

# A name that appears while the worker waits is not overwritten either.
start accept -o "$dir/out/late" --size 4
echo mine >"$dir/out/late"
"$nxconnect" send "$dir/in/file" "$ticket" 2>"$dir/err"
ended 1
worker_says "late"
[ "$(cat "$dir/out/late")" = mine ] || die "the late file was touched"
holds file late

# Without room the error comes first: there is no ticket.
expect 1 accept -o "$dir/out/huge" --size 4000000T
says "cannot allocate"
(ulimit -f 8 && expect 1 accept -o "$dir/out/huge" --size 1M && says "cannot allocate") || exit 1
[ ! -s "$dir/stdout" ] || die "a ticket for a file that has no room"
holds file late

for bad in "$dir/nosuch" "$dir/in" /dev/null; do
    expect 1 offer "$bad"
    says "$bad"
done
mkfifo "$dir/in/fifo"
expect 1 offer "$dir/in/fifo"
says "not a regular file"
