/* SPDX-License-Identifier: Apache-2.0 */
/* Reads vectors of float out of a Python worker that uses dynamo.nixl_connect:
 *
 *     python3 embeddings.py | ./fetch_from_python
 *
 * The ticket comes on stdin, in one line. NXC_PEERS_ANY is what admits such a peer; read what the
 * header says about it. */
#include <nxconnect/nxconnect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nxc_err_detail());
    return 1;
}

/* Gives each of the ticket's vectors memory of our own. */
static struct nxc_desc *make_room(const nxc_ticket *ticket, size_t *ret_n)
{
    const struct nxc_desc *theirs;
    size_t                 n = nxc_ticket_descs(ticket, &theirs);
    struct nxc_desc       *ours = calloc(n, sizeof *ours);
    for (size_t i = 0; ours && i < n; i++) {
        void *memory = malloc(theirs[i].len);
        if (!memory)
            return NULL; /* this program ends at once */
        ours[i] = nxc_desc_host(memory, theirs[i].len);
    }
    *ret_n = n;
    return ours;
}

static void print_vector(const struct nxc_desc *d)
{
    const float *v = (const float *)(uintptr_t)d->addr;
    if (d->len >= 3 * sizeof *v)
        printf("%.6f %.6f %.6f ...\n", v[0], v[1], v[2]);
}

int main(void)
{
    static char               json[1 << 20];
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    struct nxc_op_opts        op_opts = NXC_OP_OPTS_INIT;
    nxc_connector            *connector;
    nxc_ticket               *ticket;
    nxc_op                   *op;
    const char               *why;
    size_t                    n;

    opts.peers = NXC_PEERS_ANY;
    op_opts.timeout_ms = 30000;
    if (nxc_connector_new(&opts, &connector) < 0)
        return complain("can't talk to Python workers");
    if (!fgets(json, sizeof json, stdin) || nxc_ticket_parse(json, strlen(json), &ticket) < 0)
        return complain("no ticket");
    struct nxc_desc *descs = make_room(ticket, &n);
    if (!descs)
        return fprintf(stderr, "out of memory\n"), 1;
    if (nxc_op_begin_read(connector, ticket, descs, n, &op_opts, &op) < 0)
        return complain("can't begin");
    nxc_ticket_free(ticket);
    if (nxc_op_wait(op, -1) < 0) {
        nxc_op_error(op, &why);
        return fprintf(stderr, "not read: %s\n", why), 1;
    }
    for (size_t i = 0; i < n; i++) {
        print_vector(&descs[i]);
        free((void *)(uintptr_t)descs[i].addr);
    }
    free(descs);
    nxc_op_free(op);
    nxc_connector_free(connector);
    return 0;
}
