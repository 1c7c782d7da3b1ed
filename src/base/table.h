/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_TABLE_H
#define NXI_BASE_TABLE_H
/* uthash and utlist, told to use our allocation and never to exit: with
 * HASH_NONFATAL_OOM an element that could not be added is reported by
 * uthash_nonfatal_oom, which here marks it: after HASH_ADD look at
 * elt->hh.tbl, NULL means that it is not in the table. */
#include "base/mem.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) nxi_malloc(size)
#define uthash_free(ptr, size) free(ptr)
#define uthash_nonfatal_oom(elt) ((void)(elt))
#include <uthash.h>
#include <utlist.h>

#endif
