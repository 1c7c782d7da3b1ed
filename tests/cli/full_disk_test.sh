#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A full disk is an error before anything moves.
. "$(dirname "$0")/lib.sh"

# In a mount name space of its own, where anybody may mount.
if [ -z "${NXC_UNSHARED:-}" ]; then
    unshare -rm true 2>/dev/null || skip "no private mount name space here"
    code=0
    NXC_UNSHARED=1 unshare -rm sh "$0" "$nxconnect" || code=$?
    exit $code
fi
mount -t tmpfs -o size=4m none "$dir/out" 2>/dev/null || skip "no tmpfs may be mounted"
trap 'umount "$dir/out"; cleanup' EXIT

truncate -s 5M "$dir/in/file"
start offer "$dir/in/file"
expect 1 fetch "$ticket" -o "$dir/out/file"
says "cannot allocate"
says "No space left on device"
holds ''
truncate -s 3M "$dir/in/small"
kill -TERM "$worker"
ended 1
start offer "$dir/in/small"
expect 0 fetch "$ticket" -o "$dir/out/file"
ended 0
same "$dir/in/small" "$dir/out/file"
