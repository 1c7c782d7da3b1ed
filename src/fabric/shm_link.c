/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "base/table.h"
#include "fabric/shm.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- birth and end --------------------------------------------------------- */

struct nxi_shm_link *nxi_shm_link_new(struct nxi_shm *f, bool opened_here)
{
    struct nxi_shm_link *l = nxi_calloc(1, sizeof *l);
    if (!l)
        return NULL;
    if (nxi_timers_reserve(f->env->timers) < 0) {
        free(l);
        return NULL;
    }
    l->fabric = f;
    l->fd = l->pidfd = -1;
    l->replies_end = &l->replies;
    l->link.fabric = &f->fabric;
    l->link.opened_here = opened_here;
    l->link.copies = true;
    l->link.eager_max = NXI_SHM_EAGER_MAX;
    l->link.piece_max = NXI_SHM_PIECE_MAX;
    l->link.pull_min = NXI_SHM_PULL_MIN;
    strcpy(l->link.name, "shm");
    DL_APPEND(f->links, l);
    f->n_links++;
    return l;
}

void nxi_shm_link_map(struct nxi_shm_link *l, struct nxi_shm_map *map)
{
    int mine = l->link.opened_here ? 0 : 1;
    l->map = map;
    l->ours = &map->sides[mine];
    l->theirs = &map->sides[!mine];
    l->out = nxi_ring_writer_at(map->rings[mine], &l->theirs->head);
    l->in = nxi_ring_reader_at(map->rings[!mine], &l->ours->head);
}

void nxi_shm_fail(struct nxi_shm_link *l, int code, const char *why)
{
    if (l->failed)
        return;
    l->failed = code;
    snprintf(l->why, sizeof l->why, "%s", why);
}

/* No longer watched: a hang-up that is known would be told again and again. */
static void unwatch(const struct nxi_shm_link *l)
{
    if (l->fd >= 0)
        epoll_ctl(l->fabric->env->epfd, EPOLL_CTL_DEL, l->fd, NULL);
    if (l->pidfd >= 0)
        epoll_ctl(l->fabric->env->epfd, EPOLL_CTL_DEL, l->pidfd, NULL);
}

void nxi_shm_hang_up(struct nxi_shm_link *l, const char *why)
{
    if (l->hung || l->stage == NXI_SHM_GONE)
        return;
    unwatch(l);
    if (l->stage != NXI_SHM_UP && l->stage != NXI_SHM_GREETED) {
        nxi_shm_fail(l, NXC_EUNREACH, why);
        return;
    }
    l->hung = true;
    /* What an honest peer can have left. A hostile one that writes on has no more. */
    l->grace = NXI_RING_BYTES;
    snprintf(l->why, sizeof l->why, "%s", why);
}

static void drop_replies(struct nxi_shm_link *l)
{
    struct nxi_shm_reply *r;
    while ((r = l->replies)) {
        l->replies = r->next;
        free(r);
    }
    l->replies_end = &l->replies;
    l->reply_bytes = 0;
}

void nxi_shm_bury(struct nxi_shm_link *l)
{
    struct nxi_shm *f = l->fabric;
    nxi_shm_unsettle_not(l);
    nxi_shm_setup_end(l);
    unwatch(l);
    if (l->fd >= 0) {
        /* A forked child may hold a copy: shutdown ends it for all. */
        shutdown(l->fd, SHUT_RDWR);
        close(l->fd);
    }
    if (l->pidfd >= 0)
        close(l->pidfd);
    if (l->map)
        munmap(l->map, sizeof *l->map);
    l->fd = l->pidfd = -1;
    l->map = NULL;
    drop_replies(l);
    l->stage = NXI_SHM_GONE;
    if (f->turn == l)
        f->turn = l->next;
    DL_DELETE(f->links, l);
    f->n_links--;
    LL_PREPEND(f->graves, l);
}

/* ---- out ------------------------------------------------------------------- */

static int queue_reply(struct nxi_shm_link *l, const struct nxi_frame *frame)
{
    struct nxi_shm_reply *r = nxi_malloc(sizeof *r + frame->header_len + frame->payload_len);
    if (!r) {
        /* The peer would wait for ever for what we can't remember to send. */
        nxi_shm_fail(l, NXC_EPEER, "no memory for a reply");
        return nxi_fail(NXC_EPEER, "no memory for a reply");
    }
    r->next = NULL;
    r->header_len = frame->header_len;
    r->payload_len = frame->payload_len;
    memcpy(r->bytes, frame->header, frame->header_len);
    if (frame->payload_len)
        nxi_cursor_read(frame->payload, r->bytes + frame->header_len, frame->payload_len);
    *l->replies_end = r;
    l->replies_end = &r->next;
    l->reply_bytes += sizeof *r + r->header_len + r->payload_len;
    return 0;
}

/* Room for so many bytes is waited for; the peer is to ring when it made some. */
static void wait_for_room(struct nxi_shm_link *l, uint32_t need)
{
    l->need = need;
    atomic_store_explicit(&l->ours->wants_room, 1, memory_order_relaxed);
}

int nxi_shm_send(struct nxi_link *link, const struct nxi_frame *frame, enum nxi_send_mode mode, uint64_t now)
{
    struct nxi_shm_link *l = (struct nxi_shm_link *)link;
    assert(frame->payload_len <= NXI_SHM_PIECE_MAX);
    if (l->stage != NXI_SHM_UP || l->hung || l->failed)
        return nxi_fail(NXC_EPEER, "the link has ended");
    /* Nothing overtakes a reply that waits. */
    int r = l->replies ? NXC_EAGAIN
                       : nxi_ring_put(&l->out, frame->header, frame->header_len, frame->payload, frame->payload_len);
    if (r == 0) {
        l->link.said = now;
        nxi_shm_unsettle(l, now);
        return mode == NXI_SEND_LEND ? 1 : 0;
    }
    if (r != NXC_EAGAIN) {
        nxi_shm_fail(l, r, nxc_err_detail());
        return r;
    }
    if (!l->need)
        wait_for_room(l, nxi_ring_need(frame->header_len, frame->payload_len));
    if (mode == NXI_SEND_REPLY)
        return queue_reply(l, frame);
    l->refused = true;
    return NXC_EAGAIN;
}

/* Sends what waits, as far as there is room. Returns how many frames went. */
static int push_replies(struct nxi_shm_link *l, uint64_t now)
{
    struct nxi_shm_reply *r;
    int                   n = 0;
    while ((r = l->replies)) {
        struct nxc_desc   payload = nxc_desc_host(r->bytes + r->header_len, r->payload_len);
        struct nxi_cursor from = nxi_cursor_at(&payload, 1);
        int               sent = nxi_ring_put(&l->out, r->bytes, r->header_len, &from, r->payload_len);
        if (sent == NXC_EAGAIN) {
            wait_for_room(l, nxi_ring_need(r->header_len, r->payload_len));
            break;
        }
        if (sent < 0) {
            nxi_shm_fail(l, sent, nxc_err_detail());
            break;
        }
        l->link.said = now;
        nxi_shm_unsettle(l, now);
        l->replies = r->next;
        l->reply_bytes -= sizeof *r + r->header_len + r->payload_len;
        free(r);
        n++;
    }
    if (!l->replies)
        l->replies_end = &l->replies;
    return n;
}

/* There may be room where there was none. */
static int make_use_of_room(struct nxi_shm_link *l, uint64_t now)
{
    int r = nxi_ring_room(&l->out, l->need);
    if (r < 0)
        nxi_shm_fail(l, r, nxc_err_detail());
    if (r <= 0)
        return 0;
    l->need = 0;
    atomic_store_explicit(&l->ours->wants_room, 0, memory_order_relaxed);
    int n = push_replies(l, now);
    if (l->refused && !l->replies && !l->failed) {
        l->refused = false;
        l->fabric->fabric.events->writable(l->fabric->fabric.arg, &l->link, now);
        n++;
    }
    return n;
}

bool nxi_shm_flushed(const struct nxi_link *link)
{
    return !((const struct nxi_shm_link *)link)->replies;
}

void nxi_shm_close(struct nxi_link *link)
{
    struct nxi_shm_link *l = (struct nxi_shm_link *)link;
    if (l->replies && !l->hung && !l->failed)
        push_replies(l, 0);
    nxi_shm_bury(l);
}

/* ---- in -------------------------------------------------------------------- */

/* A peer that asks on and on and reads no answers is not listened to, else the
 * answers would fill our memory. Who opened the link always reads, so two can't wait for each other. */
static bool paused(const struct nxi_shm_link *l)
{
    return l->reply_bytes > NXI_SHM_PAUSE_AT && !l->link.opened_here && !l->hung;
}

static bool readable(const struct nxi_shm_link *l)
{
    return nxi_ring_ready(&l->in) && !paused(l);
}

bool nxi_shm_due(struct nxi_shm_link *l)
{
    if (l->failed || l->stage == NXI_SHM_GREETED)
        return true;
    if (l->stage != NXI_SHM_UP)
        return false;
    return l->hung || readable(l) || (l->need && nxi_ring_room(&l->out, l->need) != 0);
}

/* Gives out one record: 1 taken, 0 none is there, or why the link fails. l may be gone afterwards. */
static int take(struct nxi_shm_link *l, uint64_t now)
{
    const struct nxi_fabric_events *up = l->fabric->fabric.events;
    struct nxi_ring_record          record;
    int                             r = nxi_ring_next(&l->in, &record);
    if (r <= 0)
        return r;
    l->link.heard = now;
    if (record.header_len) {
        l->link.sink = (struct nxi_cursor){ 0 };
        r = up->header(l->fabric->fabric.arg, &l->link, record.header, record.header_len, record.left, now);
        if (r < 0 || l->stage == NXI_SHM_GONE)
            return r;
    }
    uint32_t from = l->in.at;
    nxi_ring_take(&l->in, &record, &l->link.sink);
    if (l->hung)
        l->grace -= l->in.at - from < l->grace ? l->in.at - from : l->grace;
    if (record.left && record.left == record.part)
        r = up->payload(l->fabric->fabric.arg, &l->link, now);
    return r < 0 ? r : 1;
}

static int receive(struct nxi_shm_link *l, int max, uint64_t now)
{
    int n = 0;
    while (n < max && readable(l) && !(l->hung && !l->grace)) {
        int r = take(l, now);
        if (l->stage == NXI_SHM_GONE)
            return n + 1;
        if (r < 0) {
            nxi_shm_fail(l, r, nxc_err_detail());
            break;
        }
        n++;
    }
    if (n && !l->hung)
        nxi_shm_unsettle(l, now); /* there is room now */
    return n;
}

/* What is rare: the link comes up, or it has ended. */
static void tell(struct nxi_shm_link *l, uint64_t now)
{
    struct nxi_fabric *f = &l->fabric->fabric;
    if (l->failed) {
        /* A guest that was never up is nobody's loss. */
        bool known = l->link.opened_here || l->stage == NXI_SHM_UP;
        nxi_shm_bury(l);
        if (known)
            f->events->down(f->arg, &l->link, l->failed, l->why, now);
        return;
    }
    l->stage = NXI_SHM_UP;
    l->link.heard = l->link.said = now;
    f->events->up(f->arg, &l->link, now);
}

int nxi_shm_serve(struct nxi_shm_link *l, int max, uint64_t now)
{
    int n = 0;
    if (l->stage == NXI_SHM_GREETED && !l->failed) {
        tell(l, now);
        n++;
    }
    if (l->stage != NXI_SHM_UP && !l->failed)
        return n;
    if (l->stage == NXI_SHM_UP && !l->failed && readable(l))
        n += receive(l, max, now);
    if (l->stage == NXI_SHM_UP && !l->failed && l->need && !l->hung)
        n += make_use_of_room(l, now);
    if (l->stage == NXI_SHM_UP && l->hung && (!readable(l) || !l->grace))
        l->failed = NXC_EPEER;
    if (l->stage != NXI_SHM_GONE && l->failed) {
        tell(l, now);
        n++;
    }
    return n;
}
