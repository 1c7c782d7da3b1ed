/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "fabric/shm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_AGAIN_MS = 100 };

/* The name has a fixed length and begins with a zero byte: no file, nothing that
 * could be left behind. */
void nxi_shm_address(const uint8_t instance[NXI_INSTANCE_LEN], struct sockaddr_un *ret_a)
{
    *ret_a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    char *at = ret_a->sun_path + 1;
    at += sprintf(at, "nxc-");
    for (int i = 0; i < NXI_INSTANCE_LEN; i++)
        at += sprintf(at, "%02x", instance[i]);
}

void nxi_shm_admit(struct nxi_shm *f)
{
    bool               want = f->n_guests < NXI_SHM_GUESTS && !f->listen_timer.index;
    struct epoll_event e = { .events = want ? EPOLLIN : 0, .data.ptr = &f->listener };
    if (want != f->listening && f->listen_fd >= 0 &&
        epoll_ctl(f->env->epfd, EPOLL_CTL_MOD, f->listen_fd, &e) == 0)
        f->listening = want;
}

static void listen_again(struct nxi_timer *t, uint64_t now)
{
    (void)now;
    nxi_shm_admit(nxi_shm_of(t, struct nxi_shm, listen_timer));
}

static void knock(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    struct nxi_shm *f = nxi_shm_of(w, struct nxi_shm, listener);
    (void)events;
    for (int i = 0; i < NXI_SHM_GUESTS && f->n_guests < NXI_SHM_GUESTS && f->listen_fd >= 0; i++) {
        int fd = accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
            break;
        if (fd >= 0 && nxi_shm_guest_new(f, fd, now) == 0)
            continue;
        /* Out of descriptors or memory: the listener stays readable, so look away for a while. */
        nxi_timer_set(f->env->timers, &f->listen_timer, nxi_after(now, ACCEPT_AGAIN_MS * NXI_MS));
        break;
    }
    nxi_shm_admit(f);
}

int nxi_shm_listen(struct nxi_shm *f)
{
    struct sockaddr_un a;
    f->listener.fn = knock;
    f->listen_timer.fn = listen_again;
    nxi_shm_address(f->env->instance, &a);
    f->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->listen_fd < 0)
        return nxi_fail_errno(NXC_ESYSTEM, errno, "a Unix socket");
    if (bind(f->listen_fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(f->listen_fd, NXI_SHM_GUESTS) < 0)
        return nxi_fail_errno(NXC_ESYSTEM, errno, "an abstract Unix socket");
    int r = nxi_shm_watch(f, f->listen_fd, &f->listener);
    f->listening = r == 0;
    return r;
}

void nxi_shm_unlisten(struct nxi_shm *f)
{
    nxi_timer_unset(f->env->timers, &f->listen_timer);
    if (f->listen_fd >= 0) {
        epoll_ctl(f->env->epfd, EPOLL_CTL_DEL, f->listen_fd, NULL);
        close(f->listen_fd);
    }
    f->listen_fd = -1;
}
