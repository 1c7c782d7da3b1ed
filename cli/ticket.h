/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TICKET_H
#define TICKET_H
#include <nxconnect/nxconnect.h>

#include <stdbool.h>

/* Gets the ticket that an argument names, its text, @file or - for standard
 * input, and parses it. Returns an exit code; has said why it is not CLI_DONE. */
int ticket_load(const char *arg, nxc_ticket **ret_t);

/* Whether its worker speaks the native dialect; else NIXL's only. */
bool ticket_is_native(const nxc_ticket *t);

/* Bytes of all its descriptors; false when that is more than a file can hold, which is said. */
bool ticket_bytes(const nxc_ticket *t, uint64_t *ret_bytes);

/* Cuts memory into pieces as long as the ticket's descriptors, which together are
 * as long as it. malloc'ed; NULL when memory is out. */
struct nxc_desc *ticket_cut(const nxc_ticket *t, char *memory, size_t *ret_n);

#endif
