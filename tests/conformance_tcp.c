/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance.h"

static int open_tcp(struct side *s, unsigned number)
{
    (void)number;
    return nxi_tcp_open(&s->env, &s->fabric);
}

int main(void)
{
    static const struct conformance_kind kind = { .name = "tcp", .open = open_tcp };
    return conformance_run(&kind);
}
