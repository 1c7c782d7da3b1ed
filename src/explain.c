/* SPDX-License-Identifier: Apache-2.0 */
/* nxc_ticket_explain: what is in a ticket, in words. */
#include "base/bytes.h"
#include "base/error.h"
#include "codec/ticket.h"

#include <arpa/inet.h>
#include <stdio.h>

static void explain_address(const struct nxi_addr *a, nxc_fact_fn fn, void *arg)
{
    char     ip[INET6_ADDRSTRLEN], text[96];
    uint16_t port;
    switch (a->tag) {
    case NXI_ADDR_SHM:
        fn("address", 0, "shm, for workers of the same host", arg);
        break;
    case NXI_ADDR_TCP4:
        memcpy(&port, a->bytes + 4, sizeof port);
        inet_ntop(AF_INET, a->bytes, ip, sizeof ip);
        snprintf(text, sizeof text, "tcp %s:%u", ip, ntohs(port));
        fn("address", 0, text, arg);
        break;
    case NXI_ADDR_TCP6:
        memcpy(&port, a->bytes + 16, sizeof port);
        inet_ntop(AF_INET6, a->bytes, ip, sizeof ip);
        snprintf(text, sizeof text, "tcp [%s]:%u", ip, ntohs(port));
        fn("address", 0, text, arg);
        break;
    default:
        snprintf(text, sizeof text, "of kind %u, which this library does not use", a->tag);
        fn("address", NXC_ENOTSUP, text, arg);
    }
}

static void explain_native(const struct nxi_agent *a, nxc_fact_fn fn, void *arg)
{
    char text[96];
    snprintf(text, sizeof text, "native, protocol %u to %u", a->native.version_min, a->native.version);
    fn("dialect", a->native_err, text, arg);
    for (size_t i = 0; !a->native_err && i < a->native.n; i++)
        explain_address(&a->native.addrs[i], fn, arg);
}

int nxc_ticket_explain(const nxc_ticket *t, nxc_fact_fn fn, void *arg)
{
    char text[160];
    if (!t || !fn)
        return nxi_fail(NXC_EINVAL, "%s is NULL", t ? "fn" : "t");
    const struct nxi_agent *a = t->agent;
    fn("agent", 0, a->name, arg);
    if (a->has_native)
        explain_native(a, fn, arg);
    for (size_t i = 0; i < a->n_conns; i++) {
        const struct nxi_agent_conn *conn = &a->conns[i];
        if (nxi_span_is(&conn->backend, "NXC"))
            continue;
        snprintf(text, sizeof text, "NIXL over %.*s, an address of %zu bytes",
                 (int)(conn->backend.len > 64 ? 64 : conn->backend.len), (const char *)conn->backend.ptr,
                 conn->info.len);
        fn("dialect", nxi_span_is(&conn->backend, "UCX") ? 0 : NXC_ENOTSUP, text, arg);
    }
    for (size_t i = 0; i < a->n_sections; i++) {
        snprintf(text, sizeof text, "%zu descriptors of memory type %d for %.*s", a->sections[i].n,
                 a->sections[i].mem_type, (int)(a->sections[i].backend.len > 64 ? 64 : a->sections[i].backend.len),
                 (const char *)a->sections[i].backend.ptr);
        fn("registered", 0, text, arg);
    }
    return 0;
}
