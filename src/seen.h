/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_SEEN_H
#define NXI_SEEN_H
#include "codec/ticket.h"

/* nxi_agent_from_text() that remembers the last agents seen: all tickets of one
 * worker carry the same blob, and inflating one costs more than all the rest of
 * a ticket. Bounded in number and size; any thread. */
int nxi_seen_agent(const char *text, size_t len, struct nxi_agent **ret_a);

#endif
