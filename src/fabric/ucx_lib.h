/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_UCX_LIB_H
#define NXI_FABRIC_UCX_LIB_H
/*
 * UCX's functions, looked up when the module is first used, so that what loading
 * UCX does to a process can be undone (docs/design.md, UCX). Only ucx*.c include this.
 */
#include <ucp/api/ucp.h>

/* Every function of UCX that we call. */
#define NXI_UCX_CALLS(X)         \
    X(ucp_am_send_nbx)           \
    X(ucp_cleanup)               \
    X(ucp_config_modify)         \
    X(ucp_config_read)           \
    X(ucp_config_release)        \
    X(ucp_ep_close_nbx)          \
    X(ucp_ep_create)             \
    X(ucp_ep_flush_nbx)          \
    X(ucp_ep_rkey_unpack)        \
    X(ucp_get_nbx)               \
    X(ucp_get_version_string)    \
    X(ucp_init_version)          \
    X(ucp_mem_map)               \
    X(ucp_mem_unmap)             \
    X(ucp_put_nbx)               \
    X(ucp_request_free)          \
    X(ucp_rkey_buffer_release)   \
    X(ucp_rkey_destroy)          \
    X(ucp_rkey_pack)             \
    X(ucp_worker_arm)            \
    X(ucp_worker_create)         \
    X(ucp_worker_destroy)        \
    X(ucp_worker_get_address)    \
    X(ucp_worker_get_efd)        \
    X(ucp_worker_progress)       \
    X(ucp_worker_release_address) \
    X(ucp_worker_set_am_recv_handler) \
    X(ucs_global_opts_set_value) \
    X(ucs_status_string)

/* Declared here, since the header that does so is not part of UCX's public ones everywhere. */
ucs_status_t ucs_global_opts_set_value(const char *name, const char *value);

struct nxi_ucx_lib {
#define NXI_UCX_CALL(name) __typeof__(name) *name;
    NXI_UCX_CALLS(NXI_UCX_CALL)
#undef NXI_UCX_CALL
};

/* NULL until nxi_ucx_lib_load() has succeeded once. */
extern const struct nxi_ucx_lib *nxi_ucx_lib;

/* Any thread. Leaves the process's signal handlers and environment as they were. NXC_ENOTSUP. */
int nxi_ucx_lib_load(void);

#endif
