/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_UCX_MODULE_H
#define NXI_FABRIC_UCX_MODULE_H
/*
 * Where the library and its module libnxconnect-ucx.so meet. The module is
 * linked with neither the library nor UCX: it gets the library's functions from
 * this table, and looks UCX's up itself (ucx_lib.h). So a library that is linked
 * statically has one copy of everything, and who needs no UCX never sees it.
 * Both sides come from one source tree; NXI_UCX_MODULE tells a stray one apart.
 */
#include "fabric/fabric.h"

#define NXI_UCX_MODULE_FILE "libnxconnect-ucx.so"
#define NXI_UCX_MODULE_ENTRY "nxi_ucx_module"

enum { NXI_UCX_MODULE = 1 }; /* raised with every change to what is below, in fabric.h or in onesided.h */

struct nxi_ucx_core {
    int   version; /* NXI_UCX_MODULE, of the library */
    int   (*fail)(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
    void  (*log)(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
    void *(*calloc)(size_t n, size_t size);
};

struct nxi_ucx_module {
    int version; /* NXI_UCX_MODULE, of the module */
    /* Loads UCX when it is called first; for ever, since UCX does not like to be unloaded.
     * NXC_ENOTSUP names what is missing. The fabric has a table of one-sided access and no links. */
    int (*open)(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f);
};

/* The module's one exported function. core lives as long as the process. */
typedef const struct nxi_ucx_module *(*nxi_ucx_module_fn)(const struct nxi_ucx_core *core);

#endif
