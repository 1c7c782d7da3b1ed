#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the library gives and takes: usage: symbols.sh ROOT LIBRARY STATIC_LIBRARY
# It exports the functions of the public header under their version and nothing
# else, and calls nothing that prints, ends the process, or changes what belongs
# to the whole of it.
set -eu
root=$1 library=$2 static_library=$3
tmp=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-symbols.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
failed=0

# Every declaration of the header that is marked NXC_API.
cc -E -P -I"$root/include" "$root/include/nxconnect/nxconnect.h" | tr '\n' ' ' | tr ';{}' '[\n*]' |
    sed -n 's/.*visibility.*[ *]\(nxc_[a-z0-9_]*\) *(.*/\1/p' | sort >"$tmp/header"
sed -n 's/^ *\(nxc_[a-z0-9_]*\);$/\1/p' "$root/src/libnxconnect.map" | sort >"$tmp/map"
nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' >"$tmp/versioned"
sed 's/@@NXCONNECT_0\.1$//' "$tmp/versioned" | sort >"$tmp/library"
[ -s "$tmp/header" ] || { echo "no functions found in the header"; exit 1; }
for other in map library; do
    if ! diff "$tmp/header" "$tmp/$other" >"$tmp/diff"; then
        echo "the header (<) and the $other (>) differ:"
        cat "$tmp/diff"
        failed=1
    fi
done

# Who links the static one sees the inside too, under names that clash with nobody's.
if nm -g --defined-only "$static_library" | awk 'NF == 3 { print $3 }' | grep -v '^nx[ci]_'; then
    echo "the static library may define none of these"
    failed=1
fi

# assert() is not there either: what users get is built with NDEBUG.
nm -D --undefined-only "$library" | awk '{ sub(/@.*/, "", $2); print $2 }' >"$tmp/wants"
if grep -Ex '_?_?(exit|_Exit|abort|quick_exit|atexit|assert_fail|assert_perror_fail|stack_chk_warn)' "$tmp/wants" ||
    grep -Ex '_*(v?f?printf(_chk)?|v?dprintf(_chk)?|puts|putchar|fputs|fputc|fwrite|perror|psignal|syslog)' \
        "$tmp/wants" ||
    grep -Ex '(stdout|stderr|stdin|error|warnx?|errx?|vsyslog)' "$tmp/wants" ||
    grep -Ex '(signal|sigaction|sigset|bsd_signal|sigprocmask|__sysv_signal)' "$tmp/wants" ||
    grep -Ex '(setenv|putenv|unsetenv|clearenv|setlocale|chdir|umask|srand|srandom|setrlimit(64)?)' "$tmp/wants"; then
    echo "the library may call none of these"
    failed=1
fi

# Nothing but what design.md names.
readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vEx '(libyajl|libsodium|libz|libc|libpthread|librt|libm|libgcc_s|ld-linux.*)\.so\.[0-9]+' && {
    echo "the library may need none of these"
    failed=1
}
exit $failed
