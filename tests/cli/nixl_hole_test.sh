#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A NIXL worker's address from which nothing comes back, not even a refusal: given up in
# time, and Ctrl-C is heard meanwhile. In a name space with a device that swallows all.
. "$(dirname "$0")/lib.sh"

"$nxconnect" check >"$dir/checked"
grep -q '^ucx *ok' "$dir/checked" || grep -q '^ucx.*loopback' "$dir/checked" || skip "$(grep '^ucx' "$dir/checked")"
if [ -z "${NXC_UNSHARED:-}" ]; then
    for tool in unshare ip; do
        command -v $tool >/dev/null || skip "no $tool here"
    done
    unshare -rnm true 2>/dev/null || skip "no private network name space here"
    code=0
    NXC_UNSHARED=1 unshare -rnm sh "$0" "$nxconnect" || code=$?
    exit $code
fi
ip link set lo up || skip "loopback can't be set up"
expect 0 check
grep -q '^ucx *no .*loopback is the only device' "$dir/stdout" || die "check does not warn of a host with nothing but the loopback"
# UCX looks for devices in /sys, which must be this name space's.
mount -t sysfs sysfs /sys 2>/dev/null || skip "no /sys of its own here"
# The other end takes the packets and has no use for them.
ip link add hole type veth peer name bottom 2>/dev/null || skip "no veth devices in this kernel"
ip addr add 192.0.2.1/24 dev hole
ip link set hole up
ip link set bottom up

head -c 1000 /dev/urandom >"$dir/in/file"
start offer "$dir/in/file" --nixl --transports ucx
kill -KILL "$worker"
wait "$worker" 2>/dev/null
worker=
ip addr del 192.0.2.1/24 dev hole
ip addr add 192.0.2.2/24 dev hole
ip neigh add 192.0.2.1 lladdr "$(ip -br link show bottom | awk '{ print $3 }')" dev hole nud permanent

began=$(date +%s)
expect 5 fetch "$ticket" -o "$dir/out/file"
took=$(($(date +%s) - began))
[ $took -ge 4 ] && [ $took -le 12 ] || die "given up after $took s, not about 5"
holds ''

# Its own limit is kept too, as beginning does not block.
began=$(date +%s)
expect 4 fetch "$ticket" -o "$dir/out/file" --timeout 0.5
took=$(($(date +%s) - began))
[ $took -le 3 ] || die "a limit of half a second took $took s"
holds ''
