/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* Set before the handler is installed, then only read by it, but for hit. */
static struct {
    uintptr_t             begin, end, page;
    int                   fd;
    volatile sig_atomic_t hit;
} guard = { .fd = -1 };

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    uintptr_t at = (uintptr_t)info->si_addr & ~(guard.page - 1);
    /* A fault elsewhere is a mistake of the program: it must end as it would
     * without us, which it does when the instruction faults again. */
    if (at < guard.begin || at >= guard.end ||
        mmap((void *)at, guard.end - at, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
             -1, 0) == MAP_FAILED) {
        signal(sig, SIG_DFL);
        return;
    }
    guard.hit = 1;
    const uint64_t one = 1;
    ssize_t r = write(guard.fd, &one, sizeof one);
    (void)r; /* a counter that is full is readable too */
    errno = saved;
}

bool guard_begin(void *addr, size_t len)
{
    guard.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (guard.fd < 0)
        return false;
    guard.page = (uintptr_t)sysconf(_SC_PAGESIZE);
    guard.begin = (uintptr_t)addr;
    guard.end = guard.begin + len;
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, NULL) == 0;
}

int guard_fd(void)
{
    return guard.fd;
}

bool guard_hit(void)
{
    return guard.hit;
}
