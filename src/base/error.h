/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_ERROR_H
#define NXI_BASE_ERROR_H

#include <nxconnect/nxconnect.h>

/* Sets this thread's error detail (what nxc_err_detail() gives) and returns
 * code, so that a failure is one line: return nxi_fail(NXC_EINVAL, "n is 0"); */
int nxi_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a system call that failed: appends ": <text of err>". */
int nxi_fail_errno(int code, int err, const char *what);

#endif
