/* SPDX-License-Identifier: Apache-2.0 */
/* Regions: memory made known ahead of time. The fabrics here need no
 * registration, so a region only holds its place; see docs/design.md. */
#include "base/error.h"
#include "connector.h"

struct nxc_region {
    struct nxc_connector *c; /* a reference */
    struct nxc_desc       desc;
};

int nxc_region_new(nxc_connector *c, const struct nxc_desc *desc, nxc_region **ret_r)
{
    uint64_t total;
    if (!c || !desc || !ret_r)
        return nxi_fail(NXC_EINVAL, "%s is NULL", !c ? "c" : !desc ? "desc" : "ret_r");
    if (nxi_forked(c))
        return nxi_fail(NXC_ESTATE, "c belongs to the parent process");
    int r = nxi_op_check_descs(desc, 1, &total);
    if (r < 0)
        return r;
    struct nxc_region *region = nxi_calloc(1, sizeof *region);
    if (!region)
        return nxi_fail(NXC_ENOMEM, "no memory for a region");
    region->c = nxi_connector_ref(c);
    region->desc = *desc;
    atomic_fetch_add_explicit(&c->stats.region_bytes, total, memory_order_relaxed);
    *ret_r = region;
    return 0;
}

void nxc_region_free(nxc_region *r)
{
    if (!r)
        return;
    atomic_fetch_sub_explicit(&r->c->stats.region_bytes, r->desc.len, memory_order_relaxed);
    nxi_connector_unref(r->c);
    free(r);
}
