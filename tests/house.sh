#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The map of the house is complete: every file of src/ has its line in
# src/README.md and is built, and what the map names exists. usage: house.sh ROOT
set -eu
cd "$1/src"
failed=0

complain()
{
    echo "$*"
    failed=1
}

for file in $(find . -name '*.[ch]' | sed 's|^\./||' | sort); do
    stem=${file%.[ch]}
    case $file in
    *.c) grep -qw "$stem" CMakeLists.txt || complain "src/CMakeLists.txt does not build $file" ;;
    esac
    grep -qF -e "\`$stem\`" -e "\`${stem%_test}\`" -e "\`${stem%_fuzz}\`" README.md ||
        complain "src/README.md has no line for $file"
done
for stem in $(sed -n 's/^| `\([a-z0-9_/]*\)` |.*/\1/p' README.md); do
    [ -e "$stem.c" ] || [ -e "$stem.h" ] || complain "src/README.md names $stem, which is not there"
done
find . ../include ../cli ../tests ../bench ../examples \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.sh' -o -name '*.py' \) \
    -exec grep -L 'SPDX-License-Identifier: Apache-2.0' {} + | grep . && complain "these have no licence line"
exit $failed
