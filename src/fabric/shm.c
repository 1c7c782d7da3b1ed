/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/shm.h"

#include "base/error.h"
#include "base/table.h"

#include <errno.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <unistd.h>

int nxi_shm_watch(struct nxi_shm *f, int fd, struct nxi_watch *w)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };
    if (epoll_ctl(f->env->epfd, EPOLL_CTL_ADD, fd, &e) < 0)
        return nxi_fail_errno(NXC_ESYSTEM, errno, "watching a socket");
    return 0;
}

static int shm_addrs(struct nxi_fabric *f, struct nxi_entry *e)
{
    (void)f;
    if (e->n == NXI_ENTRY_ADDRS)
        return nxi_fail(NXC_ELIMIT, "more than %d addresses", NXI_ENTRY_ADDRS);
    e->addrs[e->n++] = (struct nxi_addr){ .tag = NXI_ADDR_SHM };
    return 0;
}

static void shm_revoke(struct nxi_link *l, void *token)
{
    (void)l, (void)token; /* payloads are copied at once: none is ever lent */
}

static void free_graves(struct nxi_shm *f)
{
    struct nxi_shm_link *l;
    while ((l = f->graves)) {
        f->graves = l->next;
        nxi_timers_release(f->env->timers);
        free(l);
    }
}

static int shm_poll(struct nxi_fabric *fabric, uint64_t now)
{
    struct nxi_shm *f = (struct nxi_shm *)fabric;
    int             n = 0;
    if (f->graves)
        free_graves(f);
    /* Each link once, from where the last turn ended. */
    for (size_t left = f->n_links; left && n < NXI_SHM_TURN; left--) {
        struct nxi_shm_link *l = f->turn ? f->turn : f->links;
        if (!l)
            break;
        f->turn = l->next;
        n += nxi_shm_serve(l, NXI_SHM_TURN - n, now);
    }
    if (f->unsettled && now >= f->settle_at)
        nxi_shm_settle_due(f, now);
    return n;
}

static void shm_forked(struct nxi_fabric *fabric)
{
    struct nxi_shm      *f = (struct nxi_shm *)fabric;
    struct nxi_shm_link *l;
    if (f->listen_fd >= 0)
        close(f->listen_fd);
    f->listen_fd = -1;
    f->unsettled = NULL;
    DL_FOREACH(f->links, l) {
        if (l->fd >= 0)
            close(l->fd);
        if (l->pidfd >= 0)
            close(l->pidfd);
        l->fd = l->pidfd = -1;
        l->map = NULL; /* was not inherited; something else may lie there by now */
        l->unsettled = false;
        l->hung = true;
        l->stage = NXI_SHM_GREETING; /* nobody looks at the rings */
    }
}

static void shm_free(struct nxi_fabric *fabric)
{
    struct nxi_shm *f = (struct nxi_shm *)fabric;
    if (!f)
        return;
    while (f->links)
        nxi_shm_close(&f->links->link);
    free_graves(f);
    nxi_shm_unlisten(f);
    nxi_timers_release(f->env->timers);
    free(f);
}

static const struct nxi_fabric_ops ops = {
    .name = "shm",
    .addrs = shm_addrs,
    .connect = nxi_shm_connect,
    .send = nxi_shm_send,
    .revoke = shm_revoke,
    .pull = nxi_shm_pull,
    .flushed = nxi_shm_flushed,
    .close = nxi_shm_close,
    .poll = shm_poll,
    .arm = nxi_shm_arm,
    .settle = nxi_shm_settle,
    .wake = nxi_shm_wake,
    .forked = shm_forked,
    .free = shm_free,
};

int nxi_shm_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f)
{
    struct nxi_shm *f = nxi_calloc(1, sizeof *f);
    if (!f)
        return nxi_fail(NXC_ENOMEM, "no memory for the shm fabric");
    f->fabric.ops = &ops;
    f->env = env;
    f->listen_fd = -1;
    int r = nxi_timers_reserve(env->timers);
    if (r < 0) {
        free(f);
        return r;
    }
    randombytes_buf(&f->probe, sizeof f->probe);
    r = nxi_shm_listen(f);
    if (r < 0) {
        shm_free(&f->fabric);
        return r;
    }
    *ret_f = &f->fabric;
    return 0;
}
