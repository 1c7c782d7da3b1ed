/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/tcp.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SHARE_BYTES = 1 << 20, /* of one link in one poll, about */
    SHARE_FRAMES = 16,
    SINK_IOV = 32,
};

/* How far giving out frames came. */
enum { MORE_IS_NEEDED, SHARE_IS_USED, LINK_IS_OVER };

bool nxi_tcp_paused(const struct nxi_tcp_link *l)
{
    /* The opener always reads: if both sides could wait for the other to read
     * first, they would wait for ever. */
    return !l->link.opened_here && l->queue_len > NXI_TCP_PAUSE_AT;
}

static int refuse(struct nxi_tcp_link *l, int code, uint64_t now)
{
    char text[256];
    snprintf(text, sizeof text, "%s", nxc_err_detail());
    nxi_tcp_down(l, code, text, now);
    return LINK_IS_OVER;
}

/* A frame begins at the read-ahead bytes. MORE_IS_NEEDED when it does not, else
 * *ret_began is set. */
static int begin_frame(struct nxi_tcp_link *l, uint64_t now, bool *ret_began)
{
    const struct nxi_fabric *f = l->link.fabric;
    const uint8_t *p = l->ahead + l->ahead_at;
    *ret_began = false;
    if (l->ahead_len - l->ahead_at < NXI_TCP_PREFIX)
        return MORE_IS_NEEDED;
    uint32_t payload_len = nxi_get32(p), header_len = nxi_get32(p + 4); /* the reserved bytes make it too long */
    if (header_len == 0 || header_len > NXI_HEADER_MAX || payload_len > NXI_TCP_PAYLOAD_MAX) {
        nxi_fail(NXC_EPEER, "%s: not a frame", l->link.name);
        return refuse(l, NXC_EPEER, now);
    }
    if (l->ahead_len - l->ahead_at < NXI_TCP_PREFIX + header_len)
        return MORE_IS_NEEDED;
    l->ahead_at += NXI_TCP_PREFIX + header_len;
    l->payload_left = payload_len;
    l->in_payload = payload_len > 0;
    l->link.sink = (struct nxi_cursor){ 0 };
    *ret_began = true;
    int r = f->events->header(f->arg, &l->link, p + NXI_TCP_PREFIX, header_len, payload_len, now);
    if (l->over)
        return LINK_IS_OVER;
    return r < 0 ? refuse(l, r, now) : MORE_IS_NEEDED;
}

/* Moves what is read ahead of the payload under way, and tells when it is complete. */
static int continue_payload(struct nxi_tcp_link *l, uint64_t now)
{
    const struct nxi_fabric *f = l->link.fabric;
    size_t n = l->ahead_len - l->ahead_at;
    if (n > l->payload_left)
        n = l->payload_left;
    nxi_cursor_write(&l->link.sink, l->ahead + l->ahead_at, n);
    l->ahead_at += n;
    l->payload_left -= n;
    if (l->payload_left)
        return MORE_IS_NEEDED;
    l->in_payload = false;
    int r = f->events->payload(f->arg, &l->link, now);
    if (l->over)
        return LINK_IS_OVER;
    return r < 0 ? refuse(l, r, now) : MORE_IS_NEEDED;
}

/* Gives out what is in the read-ahead buffer. */
static int deliver(struct nxi_tcp_link *l, int *frames, uint64_t now)
{
    for (;;) {
        if (l->in_payload) {
            int r = continue_payload(l, now);
            if (r != MORE_IS_NEEDED || l->in_payload)
                return r;
        }
        if (*frames >= SHARE_FRAMES || nxi_tcp_paused(l))
            return SHARE_IS_USED;
        bool began;
        int r = begin_frame(l, now, &began);
        if (r != MORE_IS_NEEDED || !began)
            return r;
        ++*frames;
    }
}

/* One system call: the payload under way goes straight to its sink, what comes
 * behind it to the read-ahead buffer. *ret_asked is what there was room for. */
static ssize_t fill(struct nxi_tcp_link *l, size_t *ret_asked)
{
    size_t left = l->ahead_len - l->ahead_at;
    if (l->ahead_at && left)
        memmove(l->ahead, l->ahead + l->ahead_at, left);
    l->ahead_at = 0;
    l->ahead_len = left;
    if (!l->payload_left) {
        *ret_asked = sizeof l->ahead - left;
        ssize_t got = recv(l->fd, l->ahead + left, *ret_asked, 0);
        if (got > 0)
            l->ahead_len += (size_t)got;
        return got;
    }

    struct iovec iov[SINK_IOV + 1];
    uint64_t len, share = l->payload_left < SHARE_BYTES ? l->payload_left : SHARE_BYTES;
    size_t n = nxi_cursor_iov(&l->link.sink, share, iov, SINK_IOV, &len);
    if (n == 0) { /* scrap: for TCP, MSG_TRUNC throws the bytes away without a copy */
        uint8_t nowhere[16384];
        *ret_asked = share < sizeof nowhere ? share : sizeof nowhere;
        ssize_t got = recv(l->fd, nowhere, *ret_asked, MSG_TRUNC);
        l->payload_left -= got > 0 ? (size_t)got : 0;
        return got;
    }
    *ret_asked = len;
    if (len == l->payload_left) {
        iov[n++] = (struct iovec){ l->ahead, sizeof l->ahead };
        *ret_asked += sizeof l->ahead;
    }
    ssize_t got = readv(l->fd, iov, (int)n);
    if (got <= 0)
        return got;
    uint64_t sunk = (size_t)got < len ? (size_t)got : len;
    nxi_cursor_skip(&l->link.sink, sunk);
    l->payload_left -= sunk;
    l->ahead_len = (size_t)got - sunk;
    return got;
}

/* Nothing more will come from this peer. err: 0 for a hang-up. */
static void end_of_stream(struct nxi_tcp_link *l, int err, uint64_t now)
{
    char text[256], addr[NXI_TCP_ADDR_TEXT], reason[96];
    nxi_tcp_addr_text(&l->peer, addr);
    if (err)
        snprintf(text, sizeof text, "%s: link to %s: %s", l->link.name, addr, strerror_r(err, reason, sizeof reason));
    else
        snprintf(text, sizeof text, "%s: %s hung up", l->link.name, addr);
    nxi_tcp_down(l, NXC_EPEER, text, now);
}

int nxi_tcp_receive(struct nxi_tcp_link *l, uint64_t now)
{
    size_t bytes = 0, asked;
    int frames = 0;
    for (bool dry = false;;) {
        int r = deliver(l, &frames, now);
        if (r == LINK_IS_OVER)
            return 1;
        if (r == SHARE_IS_USED || bytes >= SHARE_BYTES) {
            /* When paused, what is read ahead waits for the queue to drain. */
            if (!nxi_tcp_paused(l))
                nxi_tcp_make_due(l);
            return bytes > 0 || frames > 0;
        }
        if (dry)
            return 1;
        ssize_t got = fill(l, &asked);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN && !l->failed)
            return bytes > 0 || frames > 0;
        if (got <= 0) {
            /* A send that failed says more than the silence behind the last words. */
            end_of_stream(l, l->failed ? l->failed : got < 0 ? errno : 0, now);
            return 1;
        }
        bytes += (size_t)got;
        l->link.heard = now;
        nxi_tcp_heat(l, now);
        /* Fewer bytes than there was room for: the next call would find nothing. */
        dry = (size_t)got < asked && !l->failed;
    }
}
