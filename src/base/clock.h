/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_BASE_CLOCK_H
#define NXI_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of the monotonic clock. Deadlines and "now" are in these. */
static inline uint64_t nxi_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The same clock, up to some ms behind, at a fraction of the cost. */
static inline uint64_t nxi_now_coarse(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define NXI_US UINT64_C(1000)
#define NXI_MS UINT64_C(1000000)
#define NXI_SEC UINT64_C(1000000000)
#define NXI_NEVER UINT64_MAX

/* now + add, NXI_NEVER when that does not fit. */
static inline uint64_t nxi_after(uint64_t now, uint64_t add)
{
    return add > NXI_NEVER - now ? NXI_NEVER : now + add;
}

/* One turn of a spin loop: tells the core that we only wait. */
static inline void nxi_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
