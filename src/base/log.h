/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_LOG_H
#define NXI_BASE_LOG_H

#include <nxconnect/nxconnect.h>

/* Levels are syslog's. Costs one load when nobody listens. */
enum { NXI_LOG_ERROR = 3, NXI_LOG_WARNING = 4, NXI_LOG_INFO = 6, NXI_LOG_DEBUG = 7 };
void nxi_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
