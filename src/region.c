/* SPDX-License-Identifier: Apache-2.0 */
#include "region.h"

#include "base/error.h"
#include "codec/rkey.h"
#include "connector.h"

#include <string.h>

struct nxc_region {
    struct nxc_connector    *c; /* a reference */
    struct nxc_desc          desc;
    struct nxi_registration *registration; /* NULL where none is needed */
};

/* ---- registrations ------------------------------------------------------------ */

static bool covers(const struct nxi_registration *g, const struct nxc_desc *d)
{
    return g->desc.device == d->device && g->desc.device_id == d->device_id && g->desc.addr <= d->addr &&
           d->addr + d->len <= g->desc.addr + g->desc.len;
}

/* How many of the list begin at addr or before. */
static size_t before(const struct nxi_regions *r, uint64_t addr)
{
    size_t low = 0, high = r->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->list[mid]->desc.addr <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct nxi_registration *find(const struct nxi_regions *r, const struct nxc_desc *d)
{
    for (size_t i = before(r, d->addr); i-- > 0 && d->addr - r->list[i]->desc.addr <= r->longest;)
        if (covers(r->list[i], d))
            return r->list[i];
    return NULL;
}

/* A peer that has loaded a ticket of ours does not take another key for the same
 * memory under the same name. Where keys differ from registration to registration,
 * each registration makes a new name for the tickets after it. */
static void count_key(struct nxc_connector *c, const struct nxi_registration *g)
{
    if (!g->constant)
        atomic_fetch_add_explicit(&c->agent_no, 1, memory_order_relaxed);
}

static int registration_new(struct nxc_connector *c, const struct nxc_desc *d, struct nxi_registration **ret_g)
{
    const struct nxi_onesided_ops *ops = c->onesided->ops->onesided;
    uint8_t                        packed[NXI_RKEY_MAX + 1];
    struct nxi_mem                *mem;
    int                            r = ops->reg(c->onesided, d, &mem);
    if (r < 0)
        return r;
    if ((r = ops->pack(c->onesided, mem, packed)) < 0)
        goto fail;
    if (nxi_rkey_check(packed, (size_t)r) < 0) {
        r = nxi_fail(NXC_EREGISTER, "a key of this UCX that nobody could read");
        goto fail;
    }
    size_t                   len = nxi_rkey_strip(packed, (size_t)r, packed);
    struct nxi_registration *g = nxi_calloc(1, sizeof *g + len);
    if (!g) {
        r = nxi_fail(NXC_ENOMEM, "no memory for a registration");
        goto fail;
    }
    g->refs = 1;
    g->desc = *d;
    g->mem = mem;
    g->constant = nxi_rkey_is_constant(packed, len);
    g->rkey_len = len;
    memcpy(g->rkey, packed, len);
    count_key(c, g);
    *ret_g = g;
    return 0;
fail:
    ops->dereg(c->onesided, mem);
    return r;
}

int nxi_region_hold(struct nxc_connector *c, const struct nxc_desc *d, struct nxi_registration **ret_g)
{
    pthread_mutex_lock(&c->regions_lock);
    struct nxi_registration *g = find(&c->regions, d);
    if (g)
        g->refs++;
    pthread_mutex_unlock(&c->regions_lock);
    atomic_fetch_add_explicit(g ? &c->stats.region_hits : &c->stats.region_misses, 1, memory_order_relaxed);
    if (!g)
        return registration_new(c, d, ret_g);
    *ret_g = g;
    return 0;
}

void nxi_region_release(struct nxc_connector *c, struct nxi_registration *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&c->regions_lock);
    bool last = --g->refs == 0;
    pthread_mutex_unlock(&c->regions_lock);
    if (!last)
        return;
    if (g->mem) {
        count_key(c, g);
        c->onesided->ops->onesided->dereg(c->onesided, g->mem);
    }
    free(g);
}

/* ---- those of regions ------------------------------------------------------------ */

static int list_add(struct nxi_regions *r, struct nxi_registration *g)
{
    if (r->n == r->cap) {
        size_t                    cap = r->cap ? 2 * r->cap : 8;
        struct nxi_registration **list = nxi_realloc(r->list, cap * sizeof *list);
        if (!list)
            return nxi_fail(NXC_ENOMEM, "no memory for a region");
        r->list = list;
        r->cap = cap;
    }
    size_t at = before(r, g->desc.addr);
    memmove(r->list + at + 1, r->list + at, (r->n - at) * sizeof *r->list);
    r->list[at] = g;
    r->n++;
    if (g->desc.len > r->longest)
        r->longest = g->desc.len;
    return 0;
}

static void list_remove(struct nxi_regions *r, const struct nxi_registration *g)
{
    for (size_t i = before(r, g->desc.addr); i-- > 0;) {
        if (r->list[i] != g)
            continue;
        r->n--;
        memmove(r->list + i, r->list + i + 1, (r->n - i) * sizeof *r->list);
        return;
    }
}

static int region_register(struct nxc_region *region)
{
    struct nxc_connector    *c = region->c;
    struct nxi_registration *g;
    int                      r = registration_new(c, &region->desc, &g);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->regions_lock);
    r = list_add(&c->regions, g);
    pthread_mutex_unlock(&c->regions_lock);
    if (r < 0)
        nxi_region_release(c, g);
    else
        region->registration = g;
    return r;
}

void nxi_regions_close(struct nxc_connector *c)
{
    pthread_mutex_lock(&c->regions_lock);
    for (size_t i = 0; i < c->regions.n; i++) {
        c->onesided->ops->onesided->dereg(c->onesided, c->regions.list[i]->mem);
        c->regions.list[i]->mem = NULL;
    }
    pthread_mutex_unlock(&c->regions_lock);
}

void nxi_regions_free(struct nxi_regions *r)
{
    free(r->list);
}

/* ---- what the user holds ------------------------------------------------------------ */

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
    if (c->onesided && desc->len && (r = region_register(region)) < 0) {
        nxi_connector_unref(c);
        free(region);
        return r;
    }
    atomic_fetch_add_explicit(&c->stats.region_bytes, total, memory_order_relaxed);
    *ret_r = region;
    return 0;
}

void nxc_region_free(nxc_region *r)
{
    if (!r)
        return;
    struct nxc_connector *c = r->c;
    if (r->registration && !nxi_forked(c)) { /* a child gives back memory and nothing else */
        pthread_mutex_lock(&c->regions_lock);
        list_remove(&c->regions, r->registration);
        pthread_mutex_unlock(&c->regions_lock);
        nxi_region_release(c, r->registration);
    }
    atomic_fetch_sub_explicit(&c->stats.region_bytes, r->desc.len, memory_order_relaxed);
    nxi_connector_unref(c);
    free(r);
}
