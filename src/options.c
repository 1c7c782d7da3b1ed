/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "base/error.h"

#include <string.h>

/* The sizes of version 0.1, for good. */
enum {
    CONNECTOR_OPTS_FIRST = sizeof(struct nxc_connector_opts),
    OP_OPTS_FIRST = sizeof(struct nxc_op_opts),
    OPTS_MAX = 4096,
};

static int take(const void *from, size_t first, size_t ours, void *to)
{
    size_t size;
    memset(to, 0, ours);
    if (!from)
        return 0;
    memcpy(&size, from, sizeof size);
    if (size < first || size > OPTS_MAX || size % 8)
        return nxi_fail(NXC_EINVAL, "opts->size is %zu: start from _INIT", size);
    for (size_t i = ours; i < size; i++)
        if (((const unsigned char *)from)[i])
            return nxi_fail(NXC_ENOTSUP, "opts: a newer option than this library knows is set, at byte %zu", i);
    memcpy(to, from, size < ours ? size : ours);
    return 0;
}

int nxi_connector_options(const struct nxc_connector_opts *from, struct nxc_connector_opts *ret_opts)
{
    return take(from, CONNECTOR_OPTS_FIRST, sizeof *ret_opts, ret_opts);
}

int nxi_op_options(const struct nxc_op_opts *from, struct nxc_op_opts *ret_opts)
{
    int r = take(from, OP_OPTS_FIRST, sizeof *ret_opts, ret_opts);
    if (r == 0 && ret_opts->reserved)
        return nxi_fail(NXC_EINVAL, "opts->reserved is %u, must be 0", ret_opts->reserved);
    return r;
}
