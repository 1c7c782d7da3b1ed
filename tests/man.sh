#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The man pages are clean, and nxconnect(3) names every public function.
# usage: man.sh ROOT
set -eu
cd "$1"
command -v groff >/dev/null || { echo "no groff"; exit 77; }
for page in man/*.[1-9]; do
    said=$(groff -Tutf8 -mandoc -ww -z "$page" 2>&1)
    [ -z "$said" ] || { echo "$said"; exit 1; }
done
for name in $(sed -n 's/^ *\(nxc_[a-z0-9_]*\);$/\1/p' src/libnxconnect.map); do
    grep -q "$name" man/nxconnect.3 || { echo "nxconnect(3) does not name $name"; exit 1; }
done
