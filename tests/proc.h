/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_PROC_H
#define NXC_TESTS_PROC_H
/* What the kernel says about this process. */
#include <stdbool.h>
#include <stdint.h>

int       proc_descriptors(void);
int       proc_threads(void);
long long proc_resident_kib(void);
bool      proc_maps(const char *part); /* is there a mapping with part in its name? */
uint64_t  proc_cpu_ns(void);
bool      proc_only_loopback(void); /* has this host no other network device that is up? */

#endif
