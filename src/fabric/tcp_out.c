/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/tcp.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    IOV_MAX_OURS = 64,
    COPY_MAX = 1024, /* a payload up to this is cheaper copied to its header than gathered by the kernel */
};

static const uint8_t zeros[4096]; /* what a peer gets in place of a revoked payload */

static void fail(struct nxi_tcp_link *l, int err)
{
    l->failed = err;
    l->queue_len = l->queue_at = 0;
    l->lent = l->blocked = l->refused = false;
    nxi_tcp_make_due(l);
}

uint8_t *nxi_tcp_queue(struct nxi_tcp_link *l, size_t len)
{
    if (l->queue_at + l->queue_len + len > l->queue_cap) {
        if (l->queue_at) /* queue is NULL while nothing was ever queued */
            memmove(l->queue, l->queue + l->queue_at, l->queue_len);
        l->queue_at = 0;
    }
    if (l->queue_len + len > l->queue_cap) {
        size_t cap = l->queue_cap ? l->queue_cap : 4096;
        while (cap < l->queue_len + len)
            cap *= 2;
        uint8_t *queue = nxi_realloc(l->queue, cap);
        if (!queue)
            return NULL;
        l->queue = queue;
        l->queue_cap = cap;
    }
    uint8_t *at = l->queue + l->queue_at + l->queue_len;
    l->queue_len += len;
    return at;
}

/* The rest of the lent payload; zeros when it was taken back. */
static size_t gather_lent(const struct nxi_tcp_link *l, struct iovec *iov, size_t max, uint64_t *ret_len)
{
    if (!l->revoked)
        return nxi_cursor_iov(&l->lent_from, l->lent_left, iov, max, ret_len);
    size_t n = 0;
    *ret_len = 0;
    for (; n < max && *ret_len < l->lent_left; n++) {
        uint64_t left = l->lent_left - *ret_len;
        iov[n].iov_base = (void *)(uintptr_t)zeros;
        iov[n].iov_len = left < sizeof zeros ? left : sizeof zeros;
        *ret_len += iov[n].iov_len;
    }
    return n;
}

/* The next bytes of the stream, in order. Returns their number. */
static size_t gather(const struct nxi_tcp_link *l, struct iovec *iov, size_t *ret_n)
{
    uint8_t *queue = l->queue + l->queue_at;
    size_t before = l->lent ? l->lent_before : l->queue_len, n = 0, sum = 0;
    if (before) {
        iov[n++] = (struct iovec){ queue, before };
        sum = before;
    }
    if (l->lent) {
        uint64_t len;
        n += gather_lent(l, iov + n, IOV_MAX_OURS - 2, &len);
        assert(len > 0 || l->lent_left == 0);
        sum += len;
        if (len == l->lent_left && l->queue_len > before) {
            iov[n++] = (struct iovec){ queue + before, l->queue_len - before };
            sum += l->queue_len - before;
        }
    }
    *ret_n = n;
    return sum;
}

static void skip_queue(struct nxi_tcp_link *l, size_t n)
{
    l->queue_at += n;
    l->queue_len -= n;
    if (l->queue_len)
        return;
    l->queue_at = 0;
    if (l->queue_cap > NXI_TCP_PAUSE_AT) {
        free(l->queue);
        l->queue = NULL;
        l->queue_cap = 0;
    }
}

/* The kernel has taken the next n bytes. */
static void skip(struct nxi_tcp_link *l, size_t n)
{
    if (l->lent) {
        size_t before = n < l->lent_before ? n : l->lent_before;
        skip_queue(l, before);
        l->lent_before -= before;
        n -= before;

        size_t lent = n < l->lent_left ? n : l->lent_left;
        nxi_cursor_skip(&l->lent_from, lent);
        l->lent_left -= lent;
        n -= lent;
        l->lent = l->lent_before || l->lent_left;
    }
    skip_queue(l, n);
}

size_t nxi_tcp_push(struct nxi_tcp_link *l)
{
    size_t moved = 0;
    l->blocked = false;
    while ((l->queue_len || l->lent) && !l->blocked) {
        struct iovec iov[IOV_MAX_OURS];
        struct msghdr msg = { .msg_iov = iov };
        size_t n, sum = gather(l, iov, &n);
        msg.msg_iovlen = n;
        ssize_t took = n == 1 ? send(l->fd, iov[0].iov_base, sum, MSG_NOSIGNAL) : sendmsg(l->fd, &msg, MSG_NOSIGNAL);
        if (took < 0 && errno == EINTR)
            continue;
        if (took < 0 && errno != EAGAIN) {
            fail(l, errno);
            break;
        }
        if (took > 0) {
            skip(l, (size_t)took);
            moved += (size_t)took;
        }
        l->blocked = took < 0 || (size_t)took < sum;
    }
    return moved;
}

int nxi_tcp_transmit(struct nxi_tcp_link *l, uint64_t now)
{
    const struct nxi_fabric *f = l->link.fabric;
    bool lent = l->lent;
    size_t moved = 0;
    if (l->queue_len || lent)
        moved = nxi_tcp_push(l);
    if (moved)
        nxi_tcp_heat(l, now);
    if (l->failed)
        return moved > 0;
    if (lent && !l->lent && !l->revoked)
        f->events->sent(f->arg, &l->link, l->lent_token, now);
    if (!l->over && l->refused && !l->lent && l->queue_len <= NXI_TCP_QUEUE_MAX / 2) {
        l->refused = false;
        f->events->writable(f->arg, &l->link, now);
    }
    return moved > 0;
}

static bool has_room(const struct nxi_tcp_link *l, size_t size, enum nxi_send_mode mode)
{
    if (mode == NXI_SEND_REPLY)
        return true;
    return l->queue_len + size <= NXI_TCP_QUEUE_MAX && !(mode == NXI_SEND_LEND && l->lent);
}

/* Queues the frame; a payload that is to go straight from its memory is lent. */
static bool put(struct nxi_tcp_link *l, const struct nxi_frame *frame, bool straight)
{
    size_t head = NXI_TCP_PREFIX + frame->header_len;
    uint8_t *p = nxi_tcp_queue(l, head + (straight ? 0 : frame->payload_len));
    if (!p)
        return false;
    nxi_put32(p, (uint32_t)frame->payload_len);
    nxi_put32(p + 4, (uint32_t)frame->header_len); /* one byte and three zeros */
    memcpy(p + NXI_TCP_PREFIX, frame->header, frame->header_len);
    if (straight) {
        l->lent = true;
        l->revoked = false;
        l->lent_token = frame->token;
        l->lent_from = *frame->payload;
        l->lent_left = frame->payload_len;
        l->lent_before = l->queue_len;
        nxi_cursor_skip(frame->payload, frame->payload_len);
    } else if (frame->payload_len) {
        nxi_cursor_read(frame->payload, p + head, frame->payload_len);
    }
    return true;
}

/* Copies what the kernel did not take of a payload that was not lent to us. */
static void keep_rest(struct nxi_tcp_link *l)
{
    uint8_t *p = nxi_tcp_queue(l, l->lent_left);
    if (!p) {
        fail(l, ENOMEM);
        return;
    }
    nxi_cursor_read(&l->lent_from, p, l->lent_left);
    l->lent = false;
}

int nxi_tcp_send(struct nxi_link *link, const struct nxi_frame *frame, enum nxi_send_mode mode, uint64_t now)
{
    struct nxi_tcp_link *l = nxi_tcp_of(link, struct nxi_tcp_link, link);
    size_t size = NXI_TCP_PREFIX + frame->header_len + (mode == NXI_SEND_LEND ? 0 : frame->payload_len);
    assert(frame->header_len >= 1 && frame->header_len <= NXI_HEADER_MAX);
    assert(frame->payload_len <= (mode == NXI_SEND_LEND ? link->piece_max : link->eager_max));

    if (!l->failed && !l->blocked && !has_room(l, size, mode))
        nxi_tcp_push(l);
    if (l->failed)
        return nxi_fail(NXC_EPEER, "%s: the link has failed", link->name);
    if (!has_room(l, size, mode)) {
        l->refused = true;
        return NXC_EAGAIN;
    }
    /* What is said while events are given out leaves together when they are done,
     * serve pushes then; but a lent payload is large enough to go at once. */
    bool lend = mode == NXI_SEND_LEND && frame->payload_len > 0, at_once = !l->blocked && (lend || !l->serving);
    bool straight = lend || (at_once && frame->payload_len > COPY_MAX);
    if (put(l, frame, straight)) {
        link->said = now;
        nxi_tcp_heat(l, now);
        if (at_once)
            nxi_tcp_push(l);
        if (l->lent && straight && !lend)
            keep_rest(l);
    } else {
        fail(l, ENOMEM);
    }
    if (l->failed == ENOMEM)
        return nxi_fail(NXC_ENOMEM, "%s: no memory for what is to be sent", link->name);
    if (l->failed)
        return nxi_fail(NXC_EPEER, "%s: the link has failed", link->name);
    if (l->blocked && !l->serving)
        nxi_tcp_update_interest(l); /* nobody else may look at this link until epoll says that there is room */
    return mode == NXI_SEND_LEND && !l->lent;
}

void nxi_tcp_revoke(struct nxi_link *link, void *token)
{
    struct nxi_tcp_link *l = nxi_tcp_of(link, struct nxi_tcp_link, link);
    if (!l->lent || l->lent_token != token)
        return;
    l->revoked = true;
    l->lent_from = (struct nxi_cursor){ 0 }; /* its descriptors go with their owner */
}

bool nxi_tcp_flushed(const struct nxi_link *link)
{
    struct nxi_tcp_link *l = nxi_tcp_of(link, struct nxi_tcp_link, link);
    int unsent = 0, lowat = 1;
    if (l->queue_len || l->lent)
        return false;
    /* The kernel sends ten small packets before it waits for an answer, and after
     * close a frame from the peer makes it drop those that it still has. */
    if (ioctl(l->fd, SIOCOUTQNSD, &unsent) < 0 || unsent == 0)
        return true;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
    l->draining = true; /* so epoll tells when they are out */
    nxi_tcp_update_interest(l);
    return false;
}
