/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_BENCH_OURS_H
#define NXC_BENCH_OURS_H
/* What the measurements of nxconnect share. They use the public header only. */
#include "bench.h"

#include <nxconnect/nxconnect.h>

#define OURS_WAIT_MS 10000

/* This side's connector for one fabric; it stays open. */
nxc_connector *ours_connector(struct bench_side *s, enum bench_fabric fabric);

/* Fails with the library's own words if r is negative. */
void ours_check(struct bench_side *s, int r, const char *what);
/* Waits for the end of op, and fails unless it is complete. */
void ours_wait(struct bench_side *s, nxc_op *op);

#endif
