/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_OPTIONS_H
#define NXI_OPTIONS_H

#include <nxconnect/nxconnect.h>

/* The caller's option structs, which may be of an older or a newer version, as
 * ours: missing fields are 0, a tail beyond ours must be 0. NULL is all defaults.
 * NXC_EINVAL below the first version's size or not in steps of 8, NXC_ENOTSUP for a tail that is not zero. */
int nxi_connector_options(const struct nxc_connector_opts *from, struct nxc_connector_opts *ret_opts);
int nxi_op_options(const struct nxc_op_opts *from, struct nxc_op_opts *ret_opts);

#endif
