/* SPDX-License-Identifier: Apache-2.0 */
#include "base/idmap.h"

#include "base/error.h"
#include "base/mem.h"

enum { BUCKETS_FIRST = 16 }; /* a power of 2, as all later numbers */

/* With fewer buckets than nodes a map is slow, no more: only having none fails. */
static void grow(struct nxi_id_map *m)
{
    size_t            n = m->n_buckets ? m->n_buckets * 2 : BUCKETS_FIRST;
    struct nxi_id_map bigger = { nxi_calloc(n, sizeof *bigger.buckets), n, m->n };
    if (!bigger.buckets)
        return;
    NXI_ID_MAP_EACH (m, i, node, next) {
        struct nxi_id_node **bucket = &bigger.buckets[nxi_id_map_bucket(&bigger, node->id)];
        node->next = *bucket;
        *bucket = node;
    }
    free(m->buckets);
    *m = bigger;
}

int nxi_id_map_add(struct nxi_id_map *m, struct nxi_id_node *node, uint64_t id)
{
    if (m->n >= m->n_buckets)
        grow(m);
    if (!m->buckets)
        return nxi_fail(NXC_ENOMEM, "no memory for a table");
    struct nxi_id_node **bucket = &m->buckets[nxi_id_map_bucket(m, id)];
    node->id = id;
    node->next = *bucket;
    *bucket = node;
    m->n++;
    return 0;
}

void nxi_id_map_remove(struct nxi_id_map *m, struct nxi_id_node *node)
{
    struct nxi_id_node **at = &m->buckets[nxi_id_map_bucket(m, node->id)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    m->n--;
}

void nxi_id_map_free(struct nxi_id_map *m)
{
    free(m->buckets);
    *m = (struct nxi_id_map){ 0 };
}
