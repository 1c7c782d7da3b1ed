/* SPDX-License-Identifier: Apache-2.0 */
/* Each side tells in its greeting an address and the eight random bytes that lie
 * there. Who can read them there in the process that the kernel names as the
 * socket's other end can read all of that worker's memory, and reads the right one's. */
#include "base/bytes.h"
#include "base/error.h"
#include "fabric/shm.h"

#include <errno.h>
#include <sched.h>
#include <sys/uio.h>

void nxi_shm_probe_tell(const struct nxi_shm *f, uint8_t extra[NXI_GREET_EXTRA])
{
    nxi_put64(extra, (uint64_t)(uintptr_t)&f->probe);
    memcpy(extra + 8, &f->probe, sizeof f->probe);
}

bool nxi_shm_probe_try(pid_t pid, const uint8_t extra[NXI_GREET_EXTRA])
{
    uint8_t      found[8];
    struct iovec to = { found, sizeof found };
    struct iovec from = { (void *)(uintptr_t)nxi_get64(extra), sizeof found };
    return pid > 0 && process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof found &&
           memcmp(found, extra + 8, sizeof found) == 0;
}

uint64_t nxi_shm_cpus(void)
{
    cpu_set_t set;
    uint64_t  bits = 0;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return UINT64_MAX;
    for (int i = 0; i < 64; i++)
        bits |= (uint64_t)(CPU_ISSET(i, &set) != 0) << i;
    return CPU_COUNT(&set) == __builtin_popcountll(bits) ? bits : UINT64_MAX;
}

bool nxi_shm_pull_pays(uint64_t our_cpus, uint64_t their_cpus)
{
    return __builtin_popcountll(our_cpus | their_cpus) == 1;
}

int64_t nxi_shm_pull(struct nxi_link *link, const struct iovec *from, size_t n, struct nxi_cursor *to)
{
    struct nxi_shm_link *l = (struct nxi_shm_link *)link;
    struct iovec         local[NXI_PULL_IOV];
    uint64_t             want = 0, room;
    if (l->hung || l->failed || l->stage != NXI_SHM_UP)
        return nxi_fail(NXC_EPEER, "the link has ended");
    if (n > NXI_PULL_IOV)
        n = NXI_PULL_IOV;
    /* A single stretch may be longer than all that is wanted: the kernel stops where the shorter list ends. */
    for (size_t i = 0; i < n && want < NXI_SHM_PULL_STEP; i++)
        want = from[i].iov_len < NXI_SHM_PULL_STEP - want ? want + from[i].iov_len : NXI_SHM_PULL_STEP;
    size_t  n_local = nxi_cursor_iov(to, want, local, NXI_PULL_IOV, &room);
    ssize_t got = process_vm_readv(l->pid, local, n_local, from, n, 0);
    if (got >= 0) {
        nxi_cursor_skip(to, (uint64_t)got);
        return got;
    }
    if (errno == ESRCH)
        return nxi_fail(NXC_EPEER, "the peer's process has ended");
    return nxi_fail_errno(NXC_EACCESS, errno, "reading the peer's memory");
}
