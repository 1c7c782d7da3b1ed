#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into a fresh prefix, then compiles and runs there what users would:
# the README's C program as C11 and a C++17 program, by pkg-config and by
# find_package, shared and static. usage: outside.sh ROOT BUILD
set -eu
root=$1 build=$2
tmp=$(mktemp -d "${TMPDIR:-/tmp}/nxconnect-outside.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
unset DESTDIR

die()
{
    echo "$*"
    exit 1
}

# Both programs run; they need the shared library if "$2" says so, else not.
run_both()
{
    want=$2
    for program in hello outside; do
        LD_LIBRARY_PATH=$LIB ldd "$1/$program" >"$tmp/ldd"
        got=static
        grep -q libnxconnect "$tmp/ldd" && got=shared
        [ "$got" = "$want" ] || die "$1/$program is $got"
    done
    said=$(LD_LIBRARY_PATH=$LIB "$1/hello") || die "$1/hello failed"
    [ "$said" = "hello from A" ] || die "$1/hello said '$said'"
    LD_LIBRARY_PATH=$LIB "$1/outside" || die "$1/outside failed"
    echo "$3: ok"
}

by_pkg_config()
{
    dir=$tmp/pkg-config-$1
    mkdir "$dir"
    # Nothing else is in reach: the shared library asks for no other package.
    flags=$(PKG_CONFIG_LIBDIR=$LIB/pkgconfig pkg-config --cflags --libs ${2:+"$2"} "nxconnect >= 0.1")
    # shellcheck disable=SC2086
    cc -std=c11 -pedantic-errors -Wall -Wextra -Werror "$tmp/hello.c" -o "$dir/hello" $flags
    # shellcheck disable=SC2086
    c++ -std=c++17 -pedantic-errors -Wall -Wextra -Werror "$root/tests/outside/outside.cpp" -o "$dir/outside" $flags
    run_both "$dir" "$1" "pkg-config, $1"
}

by_find_package()
{
    dir=$tmp/find-package-$1
    cmake -S "$root/tests/outside" -B "$dir" -G Ninja -DCMAKE_PREFIX_PATH="$PREFIX" \
        -DOUTSIDE_LIBRARY="$2" -DOUTSIDE_HELLO="$tmp/hello.c" >"$tmp/log" 2>&1 &&
        cmake --build "$dir" >>"$tmp/log" 2>&1 || { cat "$tmp/log"; die "find_package, $1: failed"; }
    run_both "$dir" "$1" "find_package, $1"
}

command -v c++ >/dev/null || { echo "no C++ compiler"; exit 77; }
sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '/^```/d' >"$tmp/hello.c"

# Installed at one place and moved to another: nothing may remember the first.
cmake --install "$build" --prefix "$tmp/first" >"$tmp/log" || { cat "$tmp/log"; die "install failed"; }
PREFIX=$tmp/prefix
mv "$tmp/first" "$PREFIX"
LIB=$(dirname "$(find "$PREFIX" -name libnxconnect.a)")
for file in bin/nxconnect include/nxconnect/nxconnect.h share/man/man1/nxconnect.1 share/man/man3/nxconnect.3; do
    [ -f "$PREFIX/$file" ] || die "$file is not installed"
done
readelf -d "$LIB/libnxconnect.so" | grep -q 'SONAME.*\[libnxconnect\.so\.0\]' || die "the SONAME is not libnxconnect.so.0"
version=$("$PREFIX/bin/nxconnect" --version) || die "the installed command does not find its library"
[ "$version" = "nxconnect $(PKG_CONFIG_PATH=$LIB/pkgconfig pkg-config --modversion nxconnect)" ] ||
    die "the command and the package have different versions"

by_pkg_config shared ""
by_find_package shared nxconnect
by_find_package static static
# The linker takes the shared library where there is one.
rm "$LIB"/libnxconnect.so*
by_pkg_config static --static
