#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tickets that can't be used end with 3, name the field, and create nothing.
. "$(dirname "$0")/lib.sh"

echo hello >"$dir/in/file"
start offer "$dir/in/file"

# A line of the table: what the message names, and a sed program that spoils a ticket.
while IFS='|' read -r name program; do
    printf '%s\n' "$ticket" | sed "$program" >"$dir/bad"
    cmp -s "$dir/bad" - <<GOOD && die "'$program' changes nothing"
$ticket
GOOD
    for command in show "fetch -o $dir/out/file"; do
        # shellcheck disable=SC2086
        expect 3 $command "@$dir/bad"
        says "$name"
    done
done <<'TABLE'
not JSON|s/.*/hello/
not JSON|s/.*//
not JSON|s/}$//
not JSON|s/"operation_kind/operation_kind/
extra|s/^{/{"extra":1,/
operation_kind|s/,"operation_kind":1/&&/
operation_kind|s/,"operation_kind":1//
operation_kind|s/kind":1/kind":0/
operation_kind|s/kind":1/kind":3/
operation_kind|s/kind":1/kind":"1"/
notification_key|s/key":"[^"]*"/key":""/
notification_key|s/key":"[^"]*"/key":"abc"/
notification_key|s/key":"[^"]*"/key":null/
descriptors|s/descriptors":\[[^]]*/descriptors":[/
ptr|s/ptr":[0-9]*/ptr":0/
ptr|s/ptr":[0-9]*/ptr":18446744073709551616/
ptr|s/ptr":[0-9]*/ptr":1e3/
size|s/size":[0-9]*/size":-1/
size|s/size":[0-9]*/size":18446744073709551616/
size|s/size":[0-9]*/size":18446744073709551615/
device|s/"cpu"/"abacus"/
nixl_metadata|s/b64:..../b64:!!!!/
nixl_metadata|s/b64:..../b64:AAAA/
nixl_metadata|s/b64:/hex:/
TABLE

# 1 MiB is the most that a ticket may have.
head -c 1048577 /dev/zero | tr '\0' ' ' >"$dir/long"
expect 3 show "@$dir/long"
says 1048576

# Control characters in a ticket don't reach the terminal.
printf '%s' "$ticket" | sed 's/"cpu"/"\\u001b[31m"/' >"$dir/bad"
expect 3 show "@$dir/bad"
if grep -q "$(printf '\033')" "$dir/err"; then
    die "an escape character came through"
fi

# Not there at all.
expect 1 show "@$dir/nosuch"
says nosuch

# For the other direction.
expect 3 send "$dir/in/file" "$ticket"
says "use fetch"

# None of this has used the ticket.
holds ''
expect 0 fetch "$ticket" -o "$dir/out/file"
ended 0
same "$dir/in/file" "$dir/out/file"
rm "$dir/out/file"

# The worker is gone.
expect 5 fetch "$ticket" -o "$dir/out/file"
holds ''

start accept -o "$dir/out/file" --size 6
expect 3 fetch "$ticket" -o "$dir/out/other"
says "use send"
printf 'hello!!' >"$dir/in/seven"
expect 3 send "$dir/in/seven" "$ticket"
says "7 bytes"
says 6
expect 0 send "$dir/in/file" "$ticket"
ended 0
holds file
