/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance.h"

static int open_shm(struct side *s, unsigned number)
{
    (void)number;
    return nxi_shm_open(&s->env, &s->fabric);
}

int main(void)
{
    static const struct conformance_kind kind = { .name = "shm", .open = open_shm };
    return conformance_run(&kind);
}
