/* SPDX-License-Identifier: Apache-2.0 */
#include "ucx_link.h"

#include <stdlib.h>
#include <string.h>

struct setting {
    const char *key, *value;
};

static const struct setting settings_of[UCX_SETTINGS][4] = {
    [UCX_CMA] = { { "TLS", "posix,cma" } },
    [UCX_SHM] = { { "TLS", "posix" } },
    [UCX_SHM_64K] = { { "TLS", "posix" }, { "POSIX_SEG_SIZE", "64K" } },
    [UCX_TCP] = { { "TLS", "tcp" }, { "NET_DEVICES", "lo" } },
    [UCX_TCP_64K] = { { "TLS", "tcp" }, { "NET_DEVICES", "lo" },
                      { "TCP_TX_SEG_SIZE", "64K" }, { "TCP_RX_SEG_SIZE", "64K" } },
};

static struct ucx_link links[UCX_SETTINGS];

static void check(struct ucx_link *l, ucs_status_t status, const char *what)
{
    if (status != UCS_OK)
        bench_fail(l->side, "UCX: %s: %s", what, ucs_status_string(status));
}

void ucx_link_finish(struct ucx_link *l, ucs_status_ptr_t request, const char *what)
{
    ucs_status_t status = UCS_OK;
    if (UCS_PTR_IS_ERR(request)) {
        status = UCS_PTR_STATUS(request);
    } else if (request) {
        while ((status = ucp_request_check_status(request)) == UCS_INPROGRESS)
            ucp_worker_progress(l->worker);
        ucp_request_free(request);
    }
    check(l, status, what);
}

/* ---- handlers of arriving messages -------------------------------------- */
static void on_received(void *request, ucs_status_t status, size_t length, void *arg)
{
    struct ucx_link *l = arg;
    (void)length;
    check(l, status, "receive");
    l->arrived++;
    ucp_request_free(request);
}

static ucs_status_t on_data(void *arg, const void *header, size_t header_length, void *data,
                            size_t length, const ucp_am_recv_param_t *param)
{
    struct ucx_link *l = arg;
    void *to = bench_slot(l->side->in, l->size, l->arrived);
    if (!(param->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV)) {
        if (length > 0)
            memcpy(to, data, length);
        else
            memcpy(to, header, header_length);
        l->arrived++;
        return UCS_OK;
    }
    ucp_request_param_t receive = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA,
        .cb.recv_am = on_received,
        .user_data = l,
    };
    ucs_status_ptr_t request = ucp_am_recv_data_nbx(l->worker, data, to, length, &receive);
    if (UCS_PTR_IS_ERR(request))
        check(l, UCS_PTR_STATUS(request), "receive");
    if (!request)
        l->arrived++;
    return UCS_INPROGRESS;
}

static ucs_status_t on_notice(void *arg, const void *header, size_t header_length, void *data,
                              size_t length, const ucp_am_recv_param_t *param)
{
    struct ucx_link *l = arg;
    (void)header, (void)header_length, (void)data, (void)length, (void)param;
    l->arrived++;
    return UCS_OK;
}

static ucs_status_t on_request(void *arg, const void *header, size_t header_length, void *data,
                               size_t length, const ucp_am_recv_param_t *param)
{
    struct ucx_link *l = arg;
    (void)header, (void)header_length, (void)data, (void)length, (void)param;
    l->requested++;
    return UCS_OK;
}

static void set_handler(struct ucx_link *l, enum ucx_message id, ucp_am_recv_callback_t fn)
{
    ucp_am_handler_param_t param = {
        .field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS |
                      UCP_AM_HANDLER_PARAM_FIELD_CB | UCP_AM_HANDLER_PARAM_FIELD_ARG,
        .id = id,
        .flags = UCP_AM_FLAG_WHOLE_MSG,
        .cb = fn,
        .arg = l,
    };
    check(l, ucp_worker_set_am_recv_handler(l->worker, &param), "set a handler");
}

/* ---- opening ------------------------------------------------------------ */
static void open_worker(struct ucx_link *l, enum ucx_settings settings)
{
    ucp_config_t *config;
    ucp_params_t params = {
        .field_mask = UCP_PARAM_FIELD_FEATURES,
        .features = UCP_FEATURE_AM | UCP_FEATURE_RMA,
    };
    ucp_worker_params_t worker_params = {
        .field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
        .thread_mode = UCS_THREAD_MODE_SINGLE,
    };
    check(l, ucp_config_read(NULL, NULL, &config), "read the settings");
    for (const struct setting *s = settings_of[settings];
         s < settings_of[settings] + 4 && s->key; s++)
        check(l, ucp_config_modify(config, s->key, s->value), s->key);
    check(l, ucp_init(&params, config, &l->context), "init");
    ucp_config_release(config);
    check(l, ucp_worker_create(l->context, &worker_params, &l->worker), "create a worker");
    set_handler(l, UCX_DATA, on_data);
    set_handler(l, UCX_NOTICE, on_notice);
    set_handler(l, UCX_REQUEST, on_request);
}

static void idle(void *arg)
{
    ucp_worker_progress(((struct ucx_link *)arg)->worker);
}

static void connect_peer(struct ucx_link *l)
{
    ucp_address_t *mine;
    size_t len;
    unsigned char peer[4096];
    check(l, ucp_worker_get_address(l->worker, &mine, &len), "get the address");
    bench_post(l->side, mine, len);
    ucp_worker_release_address(l->worker, mine);
    bench_collect(l->side, peer, sizeof peer);
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE,
        .address = (const ucp_address_t *)peer,
        .err_mode = UCP_ERR_HANDLING_MODE_NONE,
    };
    check(l, ucp_ep_create(l->worker, &params, &l->ep), "create an endpoint");
    /* UCX connects when first used; do that before anything is measured. */
    ucp_request_param_t none = { 0 };
    ucx_link_finish(l, ucp_ep_flush_nbx(l->ep, &none), "flush");
    bench_meet(l->side, idle, l);
}

/* Registers one buffer of ours and unpacks the peer's key for its twin. */
static void share(struct ucx_link *l, void *buffer, ucp_mem_h *ret_memory, ucp_rkey_h *ret_key,
                  uint64_t *ret_address)
{
    struct bench_side *s = l->side;
    ucp_mem_map_params_t map = {
        .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH,
        .address = buffer,
        .length = BENCH_MAX_SIZE,
    };
    void *key;
    size_t len;
    unsigned char peer_key[4096];
    check(l, ucp_mem_map(l->context, &map, ret_memory), "register");
    check(l, ucp_rkey_pack(l->context, *ret_memory, &key, &len), "pack a key");
    bench_post(s, key, len);
    ucp_rkey_buffer_release(key);
    bench_collect(s, peer_key, sizeof peer_key);
    check(l, ucp_ep_rkey_unpack(l->ep, peer_key, ret_key), "unpack a key");
    bench_post(s, &buffer, sizeof buffer);
    bench_collect(s, ret_address, sizeof *ret_address);
}

struct ucx_link *ucx_link_get(struct bench_side *s, enum ucx_settings settings)
{
    struct ucx_link *l = &links[settings];
    if (l->context)
        return l;
    l->side = s;
    open_worker(l, settings);
    connect_peer(l);
    share(l, s->in, &l->in_memory, &l->peer_in, &l->peer_in_address);
    share(l, s->out, &l->out_memory, &l->peer_out, &l->peer_out_address);
    return l;
}

static void close_link(struct ucx_link *l)
{
    ucp_request_param_t force = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS,
        .flags = UCP_EP_CLOSE_FLAG_FORCE,
    };
    ucp_rkey_destroy(l->peer_in);
    ucp_rkey_destroy(l->peer_out);
    ucp_mem_unmap(l->context, l->in_memory);
    ucp_mem_unmap(l->context, l->out_memory);
    ucs_status_ptr_t request = ucp_ep_close_nbx(l->ep, &force);
    if (UCS_PTR_IS_PTR(request)) {
        while (ucp_request_check_status(request) == UCS_INPROGRESS)
            ucp_worker_progress(l->worker);
        ucp_request_free(request);
    }
    ucp_worker_destroy(l->worker);
    ucp_cleanup(l->context);
    memset(l, 0, sizeof *l);
}

void bench_ucx_close(void)
{
    for (size_t i = 0; i < UCX_SETTINGS; i++)
        if (links[i].context)
            close_link(&links[i]);
}

const char *bench_ucx_version(void)
{
    return ucp_get_version_string();
}
