/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_MODULE_H
#define NXI_MODULE_H
/* Loads the UCX module, libnxconnect-ucx.so. */
#include "fabric/fabric.h"

/* As nxi_shm_open(): opens the fabric "ucx". The module lies beside the library, else
 * where the loader looks. NXC_ENOTSUP names what is missing. */
int nxi_module_ucx_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f);

#endif
