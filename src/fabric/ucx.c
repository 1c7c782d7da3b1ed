/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/ucx.h"

#include "base/table.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

const struct nxi_ucx_core *nxi_core;

enum {
    AM_IDS = 1 << 16,
    FLUSH_MS = 200, /* when the worker goes: so long may the peers take to let our last words through, */
    FREE_MS = 2000, /* and so long may UCX take to give up its last requests */
};

static int failed(int code, const char *what, ucs_status_t s)
{
    return nxi_core->fail(code, "UCX: %s: %s", what, nxi_ucx_lib->ucs_status_string(s));
}

/* ---- notifications -------------------------------------------------------------- */

/* Noted now, given out by poll. What no honest peer sends is dropped here. */
static ucs_status_t on_notification(void *arg, const void *header, size_t header_len, void *data, size_t len,
                                    const ucp_am_recv_param_t *param)
{
    struct nxi_ucx *u = arg;
    (void)header;
    if (param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)
        return UCS_ERR_REJECTED; /* the sender is told by this code alone */
    struct nxi_ucx_said *m = NULL;
    if (!header_len && len && len <= NXI_NOTIF_MAX && u->said_bytes + sizeof *m + len <= NXI_UCX_SAID_MAX)
        m = nxi_core->calloc(1, sizeof *m + len);
    if (!m) {
        nxi_core->log(NXI_LOG_WARNING, "a notification of %zu bytes was dropped", len);
        return UCS_OK;
    }
    m->len = len;
    memcpy(m->payload, data, len);
    *u->said_end = m;
    u->said_end = &m->next;
    u->said_bytes += sizeof *m + len;
    return UCS_OK;
}

/* Messages with an id that is not NIXL's. */
static ucs_status_t on_stray(void *arg, const void *header, size_t header_len, void *data, size_t len,
                             const ucp_am_recv_param_t *param)
{
    (void)arg, (void)header, (void)header_len, (void)data, (void)len;
    return param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV ? UCS_ERR_REJECTED : UCS_OK;
}

static int set_handler(struct nxi_ucx *u, unsigned id, ucp_am_recv_callback_t cb)
{
    const ucp_am_handler_param_t param = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG |
                      UCP_AM_HANDLER_PARAM_FIELD_FLAGS,
        .id = id,
        .cb = cb,
        .arg = u,
        .flags = UCP_AM_FLAG_WHOLE_MSG,
    };
    ucs_status_t s = nxi_ucx_lib->ucp_worker_set_am_recv_handler(u->worker, &param);
    return s == UCS_OK ? 0 : failed(NXC_ENOTSUP, "a handler of messages", s);
}

/* 1.13 reads the handler of an id that nobody has set before it looks whether there is
 * one: a stray message would end the process. So all have one, and the highest comes
 * first, which makes UCX's table once and in full. */
static int set_handlers(struct nxi_ucx *u)
{
    int r = 0;
    for (unsigned id = AM_IDS; r == 0 && id-- > NXI_UCX_AM_ID + 1;)
        r = set_handler(u, id, on_stray);
    return r < 0 ? r : set_handler(u, NXI_UCX_AM_ID, on_notification);
}

static int tell_said(struct nxi_ucx *u, uint64_t now)
{
    struct nxi_ucx_said *m;
    int                  n = 0;
    for (; (m = u->said); n++) {
        u->said = m->next;
        if (!u->said)
            u->said_end = &u->said;
        u->said_bytes -= sizeof *m + m->len;
        u->fabric.onesided_events->notified(u->fabric.onesided_arg, m->payload, m->len, now);
        free(m);
    }
    return n;
}

/* ---- our memory ------------------------------------------------------------------- */

static int ucx_reg(struct nxi_fabric *f, const struct nxc_desc *d, struct nxi_mem **ret_mem)
{
    const ucp_mem_map_params_t params = {
        .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH,
        .address = (void *)(uintptr_t)d->addr,
        .length = d->len,
    };
    struct nxi_mem *mem = nxi_core->calloc(1, sizeof *mem);
    if (!mem)
        return nxi_core->fail(NXC_ENOMEM, "no memory for a registration");
    ucs_status_t s = nxi_ucx_lib->ucp_mem_map(((struct nxi_ucx *)f)->context, &params, &mem->memh);
    if (s != UCS_OK) {
        free(mem);
        return failed(NXC_EREGISTER, "registering memory", s);
    }
    *ret_mem = mem;
    return 0;
}

static void ucx_dereg(struct nxi_fabric *f, struct nxi_mem *mem)
{
    nxi_ucx_lib->ucp_mem_unmap(((struct nxi_ucx *)f)->context, mem->memh);
    free(mem);
}

static int ucx_pack(struct nxi_fabric *f, struct nxi_mem *mem, uint8_t ret_rkey[NXI_RKEY_MAX])
{
    void        *packed;
    size_t       len;
    ucs_status_t s = nxi_ucx_lib->ucp_rkey_pack(((struct nxi_ucx *)f)->context, mem->memh, &packed, &len);
    if (s != UCS_OK)
        return failed(NXC_EREGISTER, "packing a key", s);
    if (len <= NXI_RKEY_MAX)
        memcpy(ret_rkey, packed, len);
    nxi_ucx_lib->ucp_rkey_buffer_release(packed);
    return len <= NXI_RKEY_MAX ? (int)len : nxi_core->fail(NXC_EREGISTER, "UCX: a key of %zu bytes", len);
}

static const uint8_t *ucx_address(struct nxi_fabric *f, size_t *ret_len)
{
    struct nxi_ucx *u = (struct nxi_ucx *)f;
    *ret_len = u->address_len;
    return (const uint8_t *)u->address;
}

/* ---- driving ------------------------------------------------------------------------ */

static int ucx_poll(struct nxi_fabric *f, uint64_t now)
{
    struct nxi_ucx *u = (struct nxi_ucx *)f;
    int             n = 0;
    /* Not on while notifications wait: one progress brings no more than its buffers hold, so
     * what peers say in a burst is never too much, and it is said but once. */
    while (n < NXI_UCX_PROGRESS && !u->said && nxi_ucx_lib->ucp_worker_progress(u->worker))
        n++;
    if (nxi_ucx_untold(u) || n)
        n += nxi_ucx_tell(u, now);
    return u->said ? n + tell_said(u, now) : n;
}

/* UCX tells of what comes by its descriptor only after it was armed, and can be armed
 * only when it has nothing to do. */
static bool ucx_arm(struct nxi_fabric *f)
{
    struct nxi_ucx *u = (struct nxi_ucx *)f;
    return nxi_ucx_untold(u) || u->said || nxi_ucx_lib->ucp_worker_arm(u->worker) == UCS_ERR_BUSY;
}

static void ucx_wake(struct nxi_fabric *f)
{
    (void)f;
}

static void on_watch(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    (void)w, (void)events, (void)now; /* the driver is awake: it polls */
}

/* UCX's descriptors are its own secret; the child must not use them, and does not. */
static void ucx_forked(struct nxi_fabric *f)
{
    (void)f;
}

/* ---- birth and end -------------------------------------------------------------------- */

/* It has no links, but those above ask every fabric. */
static int ucx_addrs(struct nxi_fabric *f, struct nxi_entry *e)
{
    (void)f, (void)e;
    return 0;
}

/* Lets UCX work until all remotes are gone. false: so long was not enough. */
static bool settle(struct nxi_ucx *u, uint64_t ms)
{
    uint64_t until = nxi_now() + ms * NXI_MS;
    do {
        for (int i = 0; i < NXI_UCX_PROGRESS && nxi_ucx_lib->ucp_worker_progress(u->worker); i++) {
        } /* and not until there is nothing to do: a peer that floods would hold us here */
        nxi_ucx_tell(u, nxi_now());
    } while (u->remotes && nxi_now() < until);
    return !u->remotes;
}

/* What was said last goes out if the peers take it, then all ends. false when it does not. */
static bool drain(struct nxi_ucx *u)
{
    struct nxi_remote *r, *next;
    if (settle(u, FLUSH_MS))
        return true;
    DL_FOREACH_SAFE (u->remotes, r, next)
        nxi_ucx_cut(r);
    return settle(u, FREE_MS);
}

static void ucx_free(struct nxi_fabric *f)
{
    struct nxi_ucx         *u = (struct nxi_ucx *)f;
    struct nxi_ucx_request *q;
    struct nxi_ucx_said    *m;
    if (u->worker && !drain(u)) {
        /* A worker with requests can't be destroyed: memory is lost rather than the process. */
        nxi_core->log(NXI_LOG_ERROR, "UCX does not give up its requests: its worker is left behind");
        return;
    }
    while ((q = u->spare)) {
        u->spare = q->next;
        free(q);
    }
    while ((m = u->said)) {
        u->said = m->next;
        free(m);
    }
    if (u->address)
        nxi_ucx_lib->ucp_worker_release_address(u->worker, u->address);
    if (u->worker)
        nxi_ucx_lib->ucp_worker_destroy(u->worker);
    if (u->context)
        nxi_ucx_lib->ucp_cleanup(u->context);
    free(u);
}

static const struct nxi_onesided_ops onesided = {
    .address = ucx_address,
    .reg = ucx_reg,
    .dereg = ucx_dereg,
    .pack = ucx_pack,
    .connect = nxi_ucx_connect,
    .close = nxi_ucx_close,
    .unpack = nxi_ucx_unpack,
    .forget = nxi_ucx_forget,
    .move = nxi_ucx_move,
    .flush = nxi_ucx_flush,
    .notify = nxi_ucx_notify,
};

static const struct nxi_fabric_ops ops = {
    .name = "ucx",
    .addrs = ucx_addrs,
    .poll = ucx_poll,
    .arm = ucx_arm,
    .wake = ucx_wake,
    .forked = ucx_forked,
    .free = ucx_free,
    .onesided = &onesided,
};

static int open_context(struct nxi_ucx *u)
{
    const ucp_params_t params = {
        .field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED,
        .features = UCP_FEATURE_RMA | UCP_FEATURE_AM | UCP_FEATURE_WAKEUP,
        .mt_workers_shared = 1, /* memory is registered by any thread */
    };
    ucp_config_t *config;
    int           r = nxi_ucx_config(&config);
    if (r < 0)
        return r;
    ucs_status_t s = nxi_ucx_lib->ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &u->context);
    nxi_ucx_lib->ucp_config_release(config);
    return s == UCS_OK ? 0 : failed(NXC_ENOTSUP, "its context", s);
}

static int open_worker(struct nxi_ucx *u)
{
    const ucp_worker_params_t params = {
        .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
        .thread_mode = UCS_THREAD_MODE_SERIALIZED, /* whoever drives, one at a time */
    };
    int          efd;
    ucs_status_t s = nxi_ucx_lib->ucp_worker_create(u->context, &params, &u->worker);
    if (s != UCS_OK)
        return failed(NXC_ENOTSUP, "its worker", s);
    int r = set_handlers(u); /* before anybody can know the address */
    if (r < 0)
        return r;
    s = nxi_ucx_lib->ucp_worker_get_address(u->worker, &u->address, &u->address_len);
    if (s != UCS_OK)
        return failed(NXC_ENOTSUP, "the worker's address", s);
    s = nxi_ucx_lib->ucp_worker_get_efd(u->worker, &efd);
    if (s != UCS_OK)
        return failed(NXC_ENOTSUP, "the worker's descriptor", s);
    u->watch.fn = on_watch;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &u->watch };
    if (epoll_ctl(u->env->epfd, EPOLL_CTL_ADD, efd, &e) < 0)
        return nxi_core->fail(NXC_ESYSTEM, "watching UCX: %s", strerror(errno));
    return 0;
}

static int open_ucx(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f)
{
    struct nxi_ucx *u = nxi_core->calloc(1, sizeof *u);
    if (!u)
        return nxi_core->fail(NXC_ENOMEM, "no memory for the ucx fabric");
    u->fabric.ops = &ops;
    u->env = env;
    u->over_end = &u->over;
    u->said_end = &u->said;
    int r = open_context(u);
    if (r == 0)
        r = open_worker(u);
    if (r < 0)
        ucx_free(&u->fabric);
    else
        *ret_f = &u->fabric;
    return r;
}

static int module_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f)
{
    sigset_t all, before;
    int      r = nxi_ucx_lib_load();
    if (r < 0)
        return r;
    /* UCX starts a thread, which inherits this: the application's signals are not for it. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV), sigdelset(&all, SIGBUS), sigdelset(&all, SIGFPE), sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = open_ucx(env, ret_f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static const struct nxi_ucx_module module = { NXI_UCX_MODULE, module_open };

__attribute__((visibility("default"))) const struct nxi_ucx_module *nxi_ucx_module(const struct nxi_ucx_core *core)
{
    nxi_core = core;
    return core->version == NXI_UCX_MODULE ? &module : NULL;
}
