/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_IDMAP_H
#define NXI_BASE_IDMAP_H
/* A table of things by a 64-bit number, for operations on their way: it keeps
 * its buckets when it becomes empty. (uthash gives its table back with the last
 * element, so that one small operation after the other costs two allocations each.) */
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is to be found. */
struct nxi_id_node {
    uint64_t            id;
    struct nxi_id_node *next;
};

struct nxi_id_map {
    struct nxi_id_node **buckets; /* NULL until the first is added */
    size_t               n_buckets, n;
};

/* The number must not be in the map. NXC_ENOMEM. */
int  nxi_id_map_add(struct nxi_id_map *m, struct nxi_id_node *node, uint64_t id);
void nxi_id_map_remove(struct nxi_id_map *m, struct nxi_id_node *node); /* which is in it */
void nxi_id_map_free(struct nxi_id_map *m); /* the buckets, not what is in them */

static inline size_t nxi_id_map_bucket(const struct nxi_id_map *m, uint64_t id)
{
    return (id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (m->n_buckets - 1);
}

static inline struct nxi_id_node *nxi_id_map_find(const struct nxi_id_map *m, uint64_t id)
{
    struct nxi_id_node *node = m->n ? m->buckets[nxi_id_map_bucket(m, id)] : NULL;
    while (node && node->id != id)
        node = node->next;
    return node;
}

/* All of them; the one at hand may be removed, others may not, none may be added. */
#define NXI_ID_MAP_EACH(m, i, node, next_node)            \
    for (size_t i = 0; i < (m)->n_buckets; i++)           \
        for (struct nxi_id_node *next_node, *node = (m)->buckets[i]; \
             node && (next_node = node->next, 1); node = next_node)

#endif
