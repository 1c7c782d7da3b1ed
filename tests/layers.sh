#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Includes point down only. Looks at the tree given as $1 and names every line
# that points up, reaches inside from outside, or knows UCX where it may not.
set -u
root=$1
cd "$root" || exit 1

# Prints "file:line:target" for every include of the files named on stdin.
includes()
{
    while read -r file; do
        sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]\([^">]*\)[">].*/\1/;t found
            b
            :found
            =;p' "$file" | paste -d: - - | sed "s|^|$file:|"
    done
}

list()
{
    find "$@" -name '*.[ch]' 2>/dev/null | sort
}

list src cli tests bench | includes | awk -F: '
    function layer(path) {
        if (path ~ /^base\//) return 1
        if (path ~ /^codec\//) return 2
        if (path ~ /^fabric\//) return 3
        if (path ~ /^dialect\//) return 4
        return 5
    }
    function exists(path, line, here) {
        here = (getline line < path) >= 0
        close(path)
        return here
    }
    function bad(why) {
        printf "%s:%s: includes %s: %s\n", $1, $2, $3, why
        found = 1
    }
    { seen++ }
    $3 ~ /^(ucp|ucs|uct|ucm)\// {
        if ($1 !~ /^src\/fabric\/ucx[a-z_]*\.[ch]$/ && $1 !~ /^bench\//)
            bad("only the UCX module and the benchmarks know UCX")
        next
    }
    $3 ~ /\.\.\// { bad("paths start at src/, not at the file"); next }
    $1 ~ /^src\// {
        mine = substr($1, 5)
        if ($3 ~ /^(base|codec|fabric|dialect)\// && layer($3) > layer(mine))
            bad("points up")
        # A name without a folder is one of the top: all others are named from src/.
        else if ($3 !~ /\// && layer(mine) < 5 && exists("src/" $3))
            bad("points up")
        next
    }
    # The benchmarks need a clock and relax as the library does: inline functions of base.
    $1 ~ /^bench\// && $3 ~ /^base\// { next }
    $1 ~ /^(cli|bench)\// && $3 ~ /^(base|codec|fabric|dialect|src)\// {
        bad("only the public header may be used here")
    }
    END {
        if (!seen) { print "no includes found: is this the tree?"; found = 1 }
        exit found
    }'
