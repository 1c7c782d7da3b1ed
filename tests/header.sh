#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The header alone compiles without a word in every standard that it promises:
# usage: header.sh ROOT LANGUAGE COMPILER STANDARD...
set -eu
root=$1 language=$2 compiler=$3
shift 3
for standard; do
    printf '%s\n' \
        '#include <nxconnect/nxconnect.h>' \
        '#include <nxconnect/nxconnect.h>' \
        'int probe(void *memory);' \
        'int probe(void *memory)' \
        '{' \
        '    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;' \
        '    struct nxc_op_opts op_opts = NXC_OP_OPTS_INIT;' \
        '    struct nxc_desc desc = nxc_desc_host(memory, 1);' \
        '    return opts.size + op_opts.size + desc.len > 0 ? NXC_EINVAL : NXC_OK;' \
        '}' |
        "$compiler" "-std=$standard" -pedantic-errors -Wall -Wextra -Wshadow -Werror -fsyntax-only \
            -I"$root/include" -x "$language" - || { echo "not clean as $standard"; exit 1; }
done
