/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that we reach into, and requests to them. */
#include "fabric/ucx.h"

#include "base/table.h"

#include <stdio.h>
#include <string.h>

/* ---- requests --------------------------------------------------------------- */

static struct nxi_ucx_request *request_new(struct nxi_remote *r, void *token)
{
    struct nxi_ucx         *u = r->ucx;
    struct nxi_ucx_request *q = u->spare;
    if (q)
        u->spare = q->next;
    else if (!(q = nxi_core->calloc(1, sizeof *q)))
        return NULL;
    *q = (struct nxi_ucx_request){ .remote = r, .token = token };
    r->requests++;
    return q;
}

static void request_free(struct nxi_ucx_request *q)
{
    struct nxi_ucx *u = q->remote->ucx;
    q->remote->requests--;
    LL_PREPEND(u->spare, q);
}

static void on_sent(void *ucp_request, ucs_status_t status, void *user_data)
{
    struct nxi_ucx_request *q = user_data;
    struct nxi_ucx         *u = q->remote->ucx;
    nxi_ucx_lib->ucp_request_free(ucp_request);
    q->code = status == UCS_OK ? 0 : NXC_EPEER;
    q->next = NULL;
    *u->over_end = q;
    u->over_end = &q->next;
}

/* What UCX made of a request. */
static int started(struct nxi_ucx_request *q, ucs_status_ptr_t s, const char *what)
{
    if (s && !UCS_PTR_IS_ERR(s))
        return 0;
    request_free(q);
    if (!s)
        return 1;
    return nxi_core->fail(NXC_EPEER, "UCX: %s: %s", what, nxi_ucx_lib->ucs_status_string(UCS_PTR_STATUS(s)));
}

static int usable(const struct nxi_remote *r)
{
    return r->ep && !r->failed ? 0 : nxi_core->fail(NXC_EPEER, "the peer is lost");
}

static const ucp_request_param_t told = {
    .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA,
    .cb.send = on_sent,
};

/* A request, and what UCX is to be told of it. */
static int prepare(struct nxi_remote *r, void *token, struct nxi_ucx_request **ret_q, ucp_request_param_t *ret_param)
{
    int code = usable(r);
    if (code < 0)
        return code;
    if (!(*ret_q = request_new(r, token)))
        return nxi_core->fail(NXC_ENOMEM, "no memory for a request");
    *ret_param = told;
    ret_param->user_data = *ret_q;
    return 0;
}

int nxi_ucx_move(struct nxi_remote *r, const struct nxi_access *a, void *token)
{
    struct nxi_ucx_request *q;
    ucp_request_param_t     param;
    int                     code = prepare(r, token, &q, &param);
    if (code < 0)
        return code;
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_MEMH | UCP_OP_ATTR_FLAG_MULTI_SEND;
    param.memh = a->mem->memh;
    if (a->write)
        return started(q, nxi_ucx_lib->ucp_put_nbx(r->ep, a->here, a->len, a->there, a->rkey->rkey, &param), "put");
    return started(q, nxi_ucx_lib->ucp_get_nbx(r->ep, a->here, a->len, a->there, a->rkey->rkey, &param), "get");
}

int nxi_ucx_flush(struct nxi_remote *r, void *token)
{
    struct nxi_ucx_request *q;
    ucp_request_param_t     param;
    int                     code = prepare(r, token, &q, &param);
    return code < 0 ? code : started(q, nxi_ucx_lib->ucp_ep_flush_nbx(r->ep, &param), "flush");
}

int nxi_ucx_notify(struct nxi_remote *r, const uint8_t *payload, size_t len, void *token)
{
    struct nxi_ucx_request *q;
    ucp_request_param_t     param;
    int                     code = prepare(r, token, &q, &param);
    if (code < 0)
        return code;
    param.op_attr_mask |= UCP_OP_ATTR_FIELD_FLAGS;
    param.flags = UCP_AM_SEND_FLAG_EAGER; /* NIXL takes no rendezvous */
    return started(q, nxi_ucx_lib->ucp_am_send_nbx(r->ep, NXI_UCX_AM_ID, NULL, 0, payload, len, &param), "notification");
}

/* ---- keys -------------------------------------------------------------------- */

int nxi_ucx_unpack(struct nxi_remote *r, const uint8_t *packed, struct nxi_rkey **ret_k)
{
    int code = usable(r);
    if (code < 0)
        return code;
    struct nxi_rkey *k = nxi_core->calloc(1, sizeof *k);
    if (!k)
        return nxi_core->fail(NXC_ENOMEM, "no memory for a key");
    ucs_status_t s = nxi_ucx_lib->ucp_ep_rkey_unpack(r->ep, packed, &k->rkey);
    if (s != UCS_OK) {
        free(k);
        return nxi_core->fail(NXC_EACCESS, "UCX: unpacking a key: %s", nxi_ucx_lib->ucs_status_string(s));
    }
    *ret_k = k;
    return 0;
}

void nxi_ucx_forget(struct nxi_rkey *k)
{
    nxi_ucx_lib->ucp_rkey_destroy(k->rkey);
    free(k);
}

/* ---- life --------------------------------------------------------------------- */

static void on_lost(void *arg, ucp_ep_h ep, ucs_status_t status)
{
    struct nxi_remote *r = arg;
    (void)ep;
    r->failed = true;
    r->ucx->any_lost = true;
    snprintf(r->why, sizeof r->why, "the peer is lost: %s", nxi_ucx_lib->ucs_status_string(status));
}

int nxi_ucx_connect(struct nxi_fabric *f, const uint8_t *address, size_t len, void *owner, struct nxi_remote **ret_r)
{
    struct nxi_ucx *u = (struct nxi_ucx *)f;
    (void)len; /* UCX takes none: the caller has walked the address */
    struct nxi_remote *r = nxi_core->calloc(1, sizeof *r);
    if (!r)
        return nxi_core->fail(NXC_ENOMEM, "no memory for a peer");
    r->ucx = u;
    r->owner = owner;
    const ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE |
                      UCP_EP_PARAM_FIELD_ERR_HANDLER,
        .address = (const ucp_address_t *)address,
        .err_mode = UCP_ERR_HANDLING_MODE_PEER,
        .err_handler = { .cb = on_lost, .arg = r },
    };
    ucs_status_t s = nxi_ucx_lib->ucp_ep_create(u->worker, &params, &r->ep);
    if (s != UCS_OK) {
        free(r);
        return nxi_core->fail(NXC_EUNREACH, "UCX: no way to the peer: %s", nxi_ucx_lib->ucs_status_string(s));
    }
    DL_APPEND(u->remotes, r);
    *ret_r = r;
    return 0;
}

static void on_closed(void *ucp_request, ucs_status_t status, void *user_data)
{
    struct nxi_remote *r = user_data;
    (void)status;
    nxi_ucx_lib->ucp_request_free(ucp_request);
    r->closing = false;
}

/* Without waiting for the peer. */
static void close_ep(struct nxi_remote *r)
{
    if (!r->ep)
        return;
    const ucp_request_param_t param = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA | UCP_OP_ATTR_FIELD_FLAGS,
        .flags = UCP_EP_CLOSE_FLAG_FORCE,
        .cb.send = on_closed,
        .user_data = r,
    };
    ucp_ep_h ep = r->ep;
    r->ep = NULL;
    r->closing = true;
    ucs_status_ptr_t s = nxi_ucx_lib->ucp_ep_close_nbx(ep, &param);
    if (!s || UCS_PTR_IS_ERR(s))
        r->closing = false;
}

static void on_flushed(void *ucp_request, ucs_status_t status, void *user_data)
{
    struct nxi_remote *r = user_data;
    (void)status;
    nxi_ucx_lib->ucp_request_free(ucp_request);
    r->flushing = false;
}

/* What was said last may lie in UCX's buffers. UCX would flush while it closes, but that can't be
 * cut short, and a frozen peer makes it last for ever. false when there is nothing to wait for. */
static bool flush_out(struct nxi_remote *r)
{
    ucp_request_param_t param = told;
    param.cb.send = on_flushed;
    param.user_data = r;
    r->flushing = UCS_PTR_IS_PTR(nxi_ucx_lib->ucp_ep_flush_nbx(r->ep, &param));
    return r->flushing;
}

void nxi_ucx_close(struct nxi_remote *r)
{
    r->owner = NULL;
    if (r->failed || r->requests || !flush_out(r))
        close_ep(r);
}

void nxi_ucx_cut(struct nxi_remote *r)
{
    r->owner = NULL;
    close_ep(r);
}

/* ---- giving out ----------------------------------------------------------------- */

static int tell_finished(struct nxi_ucx *u, uint64_t now)
{
    struct nxi_ucx_request *q;
    int                     n = 0;
    for (; (q = u->over); n++) {
        u->over = q->next;
        if (!u->over)
            u->over_end = &u->over;
        void *token = q->token;
        int   code = q->code;
        request_free(q);
        u->fabric.onesided_events->finished(u->fabric.onesided_arg, token, code, now);
    }
    return n;
}

static int tell_lost(struct nxi_ucx *u, uint64_t now)
{
    struct nxi_remote *r, *next;
    int                n = 0;
    if (!u->any_lost)
        return 0;
    u->any_lost = false;
    DL_FOREACH_SAFE (u->remotes, r, next) {
        if (!r->failed || r->told || !r->owner)
            continue;
        r->told = true;
        u->fabric.onesided_events->lost(u->fabric.onesided_arg, r->owner, r->why, now);
        n++;
    }
    return n;
}

/* Those that nobody has any more: what is left of them is closed, and UCX lets go of them. */
static void bury(struct nxi_ucx *u)
{
    struct nxi_remote *r, *next;
    DL_FOREACH_SAFE (u->remotes, r, next) {
        if (!r->owner && !r->flushing)
            close_ep(r);
        if (r->ep || r->closing || r->flushing || r->requests)
            continue;
        DL_DELETE(u->remotes, r);
        free(r);
    }
}

int nxi_ucx_tell(struct nxi_ucx *u, uint64_t now)
{
    int n = tell_finished(u, now) + tell_lost(u, now);
    bury(u);
    return n;
}

bool nxi_ucx_untold(const struct nxi_ucx *u)
{
    return u->over || u->any_lost;
}
