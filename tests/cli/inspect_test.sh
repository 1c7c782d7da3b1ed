#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# show, check and bench, for people and for programs.
. "$(dirname "$0")/lib.sh"

# Is standard output JSON? Says so only where something can tell.
json()
{
    command -v python3 >/dev/null || return 0
    python3 -c 'import json, sys; json.load(sys.stdin)' <"$dir/stdout" || die "not JSON: $(cat "$dir/stdout")"
}

head -c 3000 /dev/zero >"$dir/in/file"
start offer "$dir/in/file"
key=$(printf '%s\n' "$ticket" | sed 's/.*"notification_key":"\([^"]*\)".*/\1/')
expect 0 show "$ticket"
prints "3000 bytes"
prints "use fetch"
prints native
if grep -qF -- "$key" "$dir/stdout"; then die "show prints the key"; fi
expect 0 show --json "$ticket"
prints '"kind":"read"'
prints '"bytes":3000'
json
if grep -qF -- "$key" "$dir/stdout"; then die "show --json prints the key"; fi

# Nobody was contacted: the ticket is as good as before, and after its worker's end too.
kill -TERM "$worker"
ended 1
expect 0 show "$ticket"

# A ticket of the other direction, with more descriptors than a person is shown.
descs=$(i=0; while [ $i -lt 20 ]; do printf '{"device":"gpu:1","ptr":%d,"size":100},' $((i + 4096)); i=$((i + 1)); done)
printf '%s\n' "$ticket" | sed "s/descriptors\":\[[^]]*/descriptors\":[${descs%,}/; s/kind\":1/kind\":2/" >"$dir/ticket"
expect 0 show "@$dir/ticket"
prints "2000 bytes"
prints "use send"
prints "4 more"
expect 0 show --json "@$dir/ticket"
json
[ "$(grep -o '"len":100' "$dir/stdout" | wc -l)" -eq 20 ] || die "--json does not have all descriptors"

expect 0 check
for name in shm pull pidfd tcp ports memlock files cpus cuda ucx; do
    grep -Eq "^$name +(ok|no) +[^ ]" "$dir/stdout" || die "check does not tell of $name"
done
expect 0 check --json
prints '"name":"shm","error":'
json

expect 0 bench --size 64K --rounds 70
prints "64 KiB"
expect 0 bench --size 8 --rounds 1 --json
prints '"bytes":8,"kind":"write","rounds":1,'
prints '"bytes":8,"kind":"read","rounds":1,'
json
expect 0 bench --size 1M --rounds 3 --transports tcp
prints tcp
expect 2 bench --transports nosuch
