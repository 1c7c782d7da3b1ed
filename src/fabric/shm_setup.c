/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/mem.h"
#include "fabric/shm.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KNOCK_AGAIN_MS = 2 };

static bool is_guest(const struct nxi_shm_link *l)
{
    return !l->link.opened_here && l->setup;
}

void nxi_shm_setup_end(struct nxi_shm_link *l)
{
    struct nxi_shm *f = l->fabric;
    if (is_guest(l))
        f->n_guests--;
    free(l->setup);
    l->setup = NULL;
    nxi_timer_unset(f->env->timers, &l->timer);
    nxi_shm_admit(f);
}

/* ---- who is there ------------------------------------------------------------ */

/* The kernel's word on who made the socket's other end. */
static int check_peer(struct nxi_shm_link *l)
{
    struct ucred who;
    socklen_t    len = sizeof who;
    if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return nxi_fail_errno(NXC_EUNREACH, errno, "asking who the peer is");
    if (who.uid != geteuid())
        return nxi_fail(NXC_ENOTSUP, "another user's process");
    l->pid = who.pid;
    return 0;
}

static void died(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    (void)events, (void)now;
    nxi_shm_hang_up(nxi_shm_of(w, struct nxi_shm_link, death), "the peer's process has ended");
}

/* A forked child of a dead peer keeps its sockets open, so the process is watched
 * too where the kernel lets us. Where not, the socket is all we have. */
static void watch_process(struct nxi_shm_link *l)
{
    if (l->pid <= 0 || l->pid == getpid())
        return;
    l->pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0);
    l->death.fn = died;
    if (l->pidfd >= 0 && nxi_shm_watch(l->fabric, l->pidfd, &l->death) < 0) {
        close(l->pidfd);
        l->pidfd = -1;
    }
}

/* ---- the greeting ------------------------------------------------------------ */

/* What the greeting has said holds from now on. */
static void greeted(struct nxi_shm_link *l)
{
    l->link.version = l->setup->greet.version;
    l->link.keepalive_ms = l->setup->greet.keepalive_ms;
    l->link.can_pull = nxi_shm_probe_try(l->pid, l->setup->greet.peer_extra);
    atomic_store_explicit(&l->ours->cpus, nxi_shm_cpus(), memory_order_relaxed);
    atomic_store_explicit(&l->ours->can_pull, l->link.can_pull, memory_order_release);
}

/* Both have mapped the memory and say in it whether they can pull. */
static void up(struct nxi_shm_link *l)
{
    l->link.peer_can_pull = atomic_load_explicit(&l->theirs->can_pull, memory_order_acquire) == 1;
    if (nxi_shm_pull_pays(nxi_shm_cpus(), atomic_load_explicit(&l->theirs->cpus, memory_order_relaxed)))
        l->link.pull_max = UINT64_MAX;
    nxi_shm_setup_end(l);
    l->stage = NXI_SHM_GREETED;
}

static int send_all(struct nxi_shm_link *l, const uint8_t *bytes, size_t len)
{
    /* A fresh socket has room for a greeting. */
    if (len && send(l->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        return nxi_fail_errno(NXC_EUNREACH, errno, "sending a greeting");
    return 0;
}

static int opener_finish(struct nxi_shm_link *l, const uint8_t *mac, size_t len)
{
    struct nxi_shm_map *map;
    int                 memfd = nxi_shm_map_make(&map);
    if (memfd < 0)
        return memfd;
    nxi_shm_link_map(l, map);
    greeted(l);
    int r = nxi_shm_fd_send(l->fd, mac, len, memfd);
    close(memfd);
    l->stage = NXI_SHM_CONFIRMING;
    return r;
}

static int listener_finish(struct nxi_shm_link *l, int memfd)
{
    struct nxi_shm_map *map;
    int                 r = nxi_shm_map_take(memfd, &map);
    if (r < 0)
        return r;
    nxi_shm_link_map(l, map);
    greeted(l);
    r = send_all(l, (const uint8_t *)"", 1);
    if (r == 0)
        up(l);
    return r;
}

/* Takes bytes of the greeting and answers. */
static int greet(struct nxi_shm_link *l, const uint8_t *bytes, size_t len, int memfd)
{
    uint8_t out[NXI_GREET_OUT];
    size_t  used;
    int     r = nxi_greet_input(&l->setup->greet, bytes, len, &used);
    size_t  out_len = nxi_greet_output(&l->setup->greet, out);
    if (r == 1 && l->link.opened_here)
        return opener_finish(l, out, out_len);
    int sent = send_all(l, out, out_len);
    if (r < 0)
        return r == NXC_EPEER ? NXC_EUNREACH : r;
    if (sent < 0)
        return sent;
    return r == 1 ? listener_finish(l, memfd) : 0;
}

/* ---- the socket --------------------------------------------------------------- */

/* What is on the socket, by stage. A descriptor that comes before the listener
 * can use it, or to anybody else, is closed. */
static void heard(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    struct nxi_shm_link *l = nxi_shm_of(w, struct nxi_shm_link, bell);
    uint8_t              buf[256];
    int                  memfd = -1;
    (void)events;
    if (l->fd < 0 || l->hung || l->failed)
        return;
    ssize_t n = l->setup ? nxi_shm_fd_recv(l->fd, buf, sizeof buf, &memfd)
                         : recv(l->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            nxi_shm_hang_up(l, l->setup ? "hung up during the greeting" : "the peer hung up");
    } else if (l->stage == NXI_SHM_GREETING) {
        int r = greet(l, buf, (size_t)n, memfd);
        if (r < 0)
            nxi_shm_fail(l, r, nxc_err_detail());
    } else {
        l->link.heard = now;
        if (l->stage == NXI_SHM_CONFIRMING)
            up(l);
    }
    if (memfd >= 0)
        close(memfd);
}

static int start(struct nxi_shm_link *l)
{
    struct nxi_shm_setup *s = l->setup;
    uint8_t extra[NXI_GREET_EXTRA], out[NXI_GREET_OUT];
    nxi_shm_probe_tell(l->fabric, extra);
    nxi_greet_start(&s->greet, l->link.opened_here, s->instance, s->link_key, l->fabric->env->keepalive_ms, extra);
    l->stage = NXI_SHM_GREETING;
    l->bell.fn = heard;
    int r = nxi_shm_watch(l->fabric, l->fd, &l->bell);
    if (r < 0)
        return r;
    watch_process(l);
    return l->link.opened_here ? send_all(l, out, nxi_greet_output(&l->setup->greet, out)) : 0;
}

static void late(struct nxi_timer *t, uint64_t now)
{
    (void)now;
    nxi_shm_fail(nxi_shm_of(t, struct nxi_shm_link, timer), NXC_EUNREACH, "no greeting in time");
}

/* A link with what its setup needs, for the listener with this instance and key. NULL: no memory. */
static struct nxi_shm_link *prepare(struct nxi_shm *f, bool opened_here, const uint8_t *instance,
                                    const uint8_t *link_key)
{
    struct nxi_shm_link *l = nxi_shm_link_new(f, opened_here);
    if (!l)
        return NULL;
    l->setup = nxi_calloc(1, sizeof *l->setup);
    if (!l->setup) {
        nxi_shm_bury(l);
        return NULL;
    }
    if (!opened_here)
        f->n_guests++;
    memcpy(l->setup->instance, instance, NXI_INSTANCE_LEN);
    memcpy(l->setup->link_key, link_key, NXI_LINK_KEY_LEN);
    return l;
}

int nxi_shm_guest_new(struct nxi_shm *f, int fd, uint64_t now)
{
    struct nxi_shm_link *l = prepare(f, false, f->env->instance, f->env->link_key);
    if (!l) {
        close(fd);
        return NXC_ENOMEM;
    }
    l->fd = fd;
    l->timer.fn = late;
    nxi_timer_set(f->env->timers, &l->timer, nxi_after(now, NXI_SHM_GUEST_MS * NXI_MS));
    if (check_peer(l) < 0 || start(l) < 0)
        nxi_shm_bury(l);
    return 0;
}

/* ---- the opener ----------------------------------------------------------------- */

/* 0: connected, or the backlog is full and the timer tries again. */
static int try_connect(struct nxi_shm_link *l, uint64_t now)
{
    struct nxi_shm_setup *s = l->setup;
    struct nxi_timers    *timers = l->fabric->env->timers;
    if (connect(l->fd, (struct sockaddr *)&s->to, sizeof s->to) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return nxi_fail_errno(NXC_EUNREACH, errno, "connecting on this host");
        uint64_t again = nxi_after(now, KNOCK_AGAIN_MS * NXI_MS);
        nxi_timer_set(timers, &l->timer, again < s->deadline ? again : s->deadline);
        return 0;
    }
    nxi_timer_set(timers, &l->timer, s->deadline);
    int r = check_peer(l);
    return r < 0 ? r : start(l);
}

static void knock_again(struct nxi_timer *t, uint64_t now)
{
    struct nxi_shm_link *l = nxi_shm_of(t, struct nxi_shm_link, timer);
    if (now >= l->setup->deadline) {
        late(t, now);
        return;
    }
    int r = try_connect(l, now);
    if (r < 0)
        nxi_shm_fail(l, r, nxc_err_detail());
}

static bool has_address(const struct nxi_entry *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->addrs[i].tag == NXI_ADDR_SHM)
            return true;
    return false;
}

int nxi_shm_connect(struct nxi_fabric *fabric, const struct nxi_entry *to, void *owner, uint64_t now,
                    struct nxi_link **ret_l)
{
    struct nxi_shm *f = (struct nxi_shm *)fabric;
    if (!has_address(to))
        return nxi_fail(NXC_EUNREACH, "the peer has no shm address");
    struct nxi_shm_link *l = prepare(f, true, to->instance, to->link_key);
    if (!l)
        return nxi_fail(NXC_ENOMEM, "no memory for a link");
    l->link.owner = owner;
    l->timer.fn = knock_again;
    l->setup->deadline = nxi_after(now, f->env->connect_ms * NXI_MS);
    nxi_shm_address(to->instance, &l->setup->to);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = l->fd < 0 ? nxi_fail_errno(NXC_ESYSTEM, errno, "a Unix socket") : try_connect(l, now);
    if (r < 0) {
        nxi_shm_bury(l);
        return r;
    }
    *ret_l = &l->link;
    return 0;
}
