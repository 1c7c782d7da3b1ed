/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "fabric/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Memory that can't shrink can't be a SIGBUS; that can't be sealed further stays writable. */
enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, FDS = 4 };

static int map_it(int memfd, struct nxi_shm_map **ret_map)
{
    void *map = mmap(NULL, sizeof(struct nxi_shm_map), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memfd, 0);
    if (map == MAP_FAILED)
        return nxi_fail_errno(NXC_ENOTSUP, errno, "mapping shared memory");
    /* A forked child must not hold, still less write, what two others share. */
    if (madvise(map, sizeof(struct nxi_shm_map), MADV_DONTFORK) < 0) {
        int err = errno;
        munmap(map, sizeof(struct nxi_shm_map));
        return nxi_fail_errno(NXC_ENOTSUP, err, "keeping shared memory from forked children");
    }
    *ret_map = map;
    return 0;
}

int nxi_shm_map_make(struct nxi_shm_map **ret_map)
{
    /* Hosts may demand NOEXEC_SEAL; kernels before 6.3 do not know it. */
    int fd = memfd_create("nxconnect", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("nxconnect", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return nxi_fail_errno(NXC_ENOTSUP, errno, "memfd_create");
    int r;
    if (ftruncate(fd, sizeof(struct nxi_shm_map)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        r = nxi_fail_errno(NXC_ENOTSUP, errno, "making shared memory");
    else
        r = map_it(fd, ret_map);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

int nxi_shm_map_take(int memfd, struct nxi_shm_map **ret_map)
{
    struct stat   s;
    struct statfs fs;
    if (memfd < 0)
        return nxi_fail(NXC_EPEER, "the peer sent no memory");
    int seals = fcntl(memfd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(memfd, &s) < 0 || s.st_size != sizeof(struct nxi_shm_map))
        return nxi_fail(NXC_EPEER, "the peer's memory is of another size, or not sealed");
    /* Huge pages have seals too, but touching them is a SIGBUS when there are none left. */
    if (fstatfs(memfd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return nxi_fail(NXC_EPEER, "the peer's memory is of another kind");
    return map_it(memfd, ret_map);
}

int nxi_shm_fd_send(int fd, const void *bytes, size_t len, int memfd)
{
    union {
        struct cmsghdr head;
        char           room[CMSG_SPACE(sizeof(int))];
    } control = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
    memcpy(CMSG_DATA(&control.head), &memfd, sizeof memfd);
    struct iovec  iov = { (void *)(uintptr_t)bytes, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t       n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t)len ? 0 : nxi_fail_errno(NXC_EUNREACH, errno, "sending shared memory");
}

ssize_t nxi_shm_fd_recv(int fd, void *buf, size_t cap, int *ret_memfd)
{
    union {
        struct cmsghdr head;
        char           room[CMSG_SPACE(FDS * sizeof(int))];
    } control;
    struct iovec  iov = { buf, cap };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t       n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return n;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
            int got;
            memcpy(&got, (char *)c + at, sizeof got);
            if (*ret_memfd < 0)
                *ret_memfd = got;
            else
                close(got);
        }
    }
    return n;
}
