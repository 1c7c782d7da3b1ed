/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_INTERN_H
#define NXI_BASE_INTERN_H

/* The same text, for as long as the process lives: for names of transports,
 * which users may read after all else is gone. Few and short by nature; when
 * memory is out or there are too many, fallback. Any thread. */
const char *nxi_intern(const char *text, const char *fallback);

#endif
