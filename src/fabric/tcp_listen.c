/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/tcp.h"

#include "base/error.h"
#include "base/log.h"
#include "codec/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE (100 * NXI_MS)
enum { ACCEPT_SHARE = 16 };

/* ---- addresses ----------------------------------------------------------- */

socklen_t nxi_tcp_addr_len(const union nxi_tcp_addr *a)
{
    return a->any.sa_family == AF_INET ? sizeof a->in4 : sizeof a->in6;
}

static void set_port(union nxi_tcp_addr *a, unsigned port)
{
    *(a->any.sa_family == AF_INET ? &a->in4.sin_port : &a->in6.sin6_port) = htons((uint16_t)port);
}

static bool same_host(const union nxi_tcp_addr *a, const union nxi_tcp_addr *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

static bool is_wildcard(const union nxi_tcp_addr *a)
{
    if (a->any.sa_family == AF_INET)
        return a->in4.sin_addr.s_addr == htonl(INADDR_ANY);
    return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

const char *nxi_tcp_addr_text(const union nxi_tcp_addr *a, char text[NXI_TCP_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool four = a->any.sa_family == AF_INET;
    inet_ntop(a->any.sa_family, four ? (const void *)&a->in4.sin_addr : (const void *)&a->in6.sin6_addr, host,
              sizeof host);
    snprintf(text, NXI_TCP_ADDR_TEXT, four ? "%s:%u" : "[%s]:%u", host,
             ntohs(four ? a->in4.sin_port : a->in6.sin6_port));
    return text;
}

/* The interface that has this address. */
static const char *device_of(const struct ifaddrs *all, const union nxi_tcp_addr *a)
{
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if (i->ifa_addr && same_host((const union nxi_tcp_addr *)(const void *)i->ifa_addr, a))
            return i->ifa_name;
    return "";
}

void nxi_tcp_link_name(const struct nxi_tcp *f, int fd, char *name, size_t cap)
{
    union nxi_tcp_addr a;
    socklen_t len = sizeof a;
    struct ifaddrs *all = NULL;
    const char *device = "";
    if (getsockname(fd, &a.any, &len) < 0)
        return;
    for (size_t i = 0; i < f->n_listeners && !device[0]; i++)
        if (same_host(&f->listeners[i].addr, &a))
            device = f->listeners[i].device;
    if (!device[0] && getifaddrs(&all) == 0)
        device = device_of(all, &a);
    snprintf(name, cap, device[0] ? "tcp/%s" : "tcp", device);
    freeifaddrs(all);
}

/* ---- the option `listen` ------------------------------------------------- */

static int bad_place(const char *text, size_t len, const char *why)
{
    return nxi_fail(NXC_EINVAL, "listen: \"%.*s\" %s", len < 80 ? (int)len : 80, text, why);
}

/* "7000" or "7000-7100". */
static bool parse_ports(const char *text, size_t len, struct nxi_tcp_place *p)
{
    const char *dash = memchr(text, '-', len);
    size_t first = dash ? (size_t)(dash - text) : len;
    uint64_t min, max;
    if (nxi_u64_parse(text, first, 65535, &min) < 0)
        return false;
    max = min;
    if (dash && nxi_u64_parse(dash + 1, len - first - 1, 65535, &max) < 0)
        return false;
    p->port_min = (uint16_t)min;
    p->port_max = (uint16_t)max;
    return min >= 1 && min <= max;
}

/* An address, else the name of an interface. */
static bool parse_host(const char *text, size_t len, bool brackets, struct nxi_tcp_place *p)
{
    char host[INET6_ADDRSTRLEN];
    if (len == 0 || len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = 0;
    if (inet_pton(AF_INET6, host, &p->addr.in6.sin6_addr) == 1) {
        p->addr.in6.sin6_family = AF_INET6;
        return true;
    }
    if (brackets)
        return false;
    if (inet_pton(AF_INET, host, &p->addr.in4.sin_addr) == 1) {
        p->addr.in4.sin_family = AF_INET;
        return true;
    }
    if (len >= sizeof p->device || strpbrk(host, " \t/:"))
        return false;
    memcpy(p->device, host, len + 1);
    return true;
}

int nxi_tcp_place_parse(const char *text, size_t len, struct nxi_tcp_place *ret_p)
{
    struct nxi_tcp_place p = { 0 };
    const char *host = text, *end = text + len, *colon = memchr(text, ':', len), *after = end;
    size_t host_len = len;
    bool brackets = len && text[0] == '[';
    if (brackets) {
        const char *close = memchr(text, ']', len);
        if (!close)
            return bad_place(text, len, "has no ]");
        host++;
        host_len = (size_t)(close - host);
        after = close + 1;
    } else if (colon && !memchr(colon + 1, ':', (size_t)(end - colon - 1))) {
        host_len = (size_t)(colon - text); /* with two colons it would be a bare IPv6 address */
        after = colon;
    }
    if (!parse_host(host, host_len, brackets, &p))
        return bad_place(text, len, "is neither an interface nor an address");
    if (after < end && (*after != ':' || !parse_ports(after + 1, (size_t)(end - after - 1), &p)))
        return bad_place(text, len, "does not end in a port or a range of ports");
    *ret_p = p;
    return 0;
}

/* ---- sockets ------------------------------------------------------------- */

/* A listening socket, or -1 and errno. */
static int open_listener(const union nxi_tcp_addr *a)
{
    int yes = 1, fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    if (bind(fd, &a->any, nxi_tcp_addr_len(a)) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

static void on_accept(struct nxi_watch *w, uint32_t events, uint64_t now);

static int no_port(const struct nxi_tcp_place *p, const union nxi_tcp_addr *addr, int err)
{
    union nxi_tcp_addr first = *addr;
    char text[NXI_TCP_ADDR_TEXT], what[2 * NXI_TCP_ADDR_TEXT];
    set_port(&first, p->port_min);
    int n = snprintf(what, sizeof what, "listen: %s", nxi_tcp_addr_text(&first, text));
    if (p->port_max > p->port_min)
        snprintf(what + n, sizeof what - (size_t)n, "-%u", p->port_max);
    return nxi_fail_errno(NXC_ESYSTEM, err, what);
}

/* Listens on addr, on the first free port of the place's range. */
static int listen_at(struct nxi_tcp *f, const struct nxi_tcp_place *p, const union nxi_tcp_addr *addr,
                     const char *device)
{
    struct nxi_tcp_listener *ls = &f->listeners[f->n_listeners];
    *ls = (struct nxi_tcp_listener){ .watch.fn = on_accept, .fabric = f, .fd = -1, .addr = *addr };
    for (unsigned port = p->port_min; port <= p->port_max && ls->fd < 0; port++) {
        set_port(&ls->addr, port);
        ls->fd = open_listener(&ls->addr);
        if (ls->fd < 0 && errno != EADDRINUSE && errno != EACCES)
            break;
    }
    if (ls->fd < 0)
        return no_port(p, addr, errno);
    socklen_t len = sizeof ls->addr;
    getsockname(ls->fd, &ls->addr.any, &len);
    snprintf(ls->device, sizeof ls->device, "%s", device);
    f->n_listeners++;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &ls->watch };
    if (epoll_ctl(f->env->epfd, EPOLL_CTL_ADD, ls->fd, &e) < 0)
        return nxi_fail_errno(NXC_ESYSTEM, errno, "listen: epoll_ctl");
    return 0;
}

static bool usable(const struct ifaddrs *i, bool loopback)
{
    bool is_loopback = i->ifa_flags & IFF_LOOPBACK;
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || is_loopback != loopback)
        return false;
    if (i->ifa_addr->sa_family == AF_INET6) /* a link-local address means nothing without the interface */
        return !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr);
    return i->ifa_addr->sa_family == AF_INET;
}

/* All addresses of a kind. A failure counts only if none can be used: one that is
 * still being set up, say, is left out. */
static int listen_at_each(struct nxi_tcp *f, const struct ifaddrs *all, const struct nxi_tcp_place *p, bool loopback)
{
    size_t before = f->n_listeners;
    int r = NXC_EAGAIN; /* nothing was tried */
    for (const struct ifaddrs *i = all; i && f->n_listeners < NXI_TCP_LISTENERS; i = i->ifa_next) {
        if (!usable(i, loopback))
            continue;
        if (p->device[0] ? strcmp(p->device, i->ifa_name) != 0
                         : p->addr.any.sa_family && p->addr.any.sa_family != i->ifa_addr->sa_family)
            continue;
        union nxi_tcp_addr a = { 0 };
        memcpy(&a, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof a.in4 : sizeof a.in6);
        r = listen_at(f, p, &a, i->ifa_name);
        if (r < 0)
            nxi_log(NXI_LOG_INFO, "tcp: %s", nxc_err_detail());
    }
    return f->n_listeners > before ? 0 : r;
}

static int listen_at_place(struct nxi_tcp *f, const struct ifaddrs *all, const struct nxi_tcp_place *p)
{
    if (p->device[0] && if_nametoindex(p->device) == 0)
        return nxi_fail(NXC_EINVAL, "listen: there is no interface %s", p->device);
    if (f->n_listeners == NXI_TCP_LISTENERS)
        return nxi_fail(NXC_EINVAL, "listen: more than %d addresses", NXI_TCP_LISTENERS);
    if (p->addr.any.sa_family && !is_wildcard(&p->addr))
        return listen_at(f, p, &p->addr, device_of(all, &p->addr));
    int r = listen_at_each(f, all, p, false);
    if (r == NXC_EAGAIN)
        r = listen_at_each(f, all, p, true);
    if (r == NXC_EAGAIN)
        r = nxi_fail(NXC_ESYSTEM, "listen: no address of %s is up", p->device[0] ? p->device : "this host");
    return r;
}

/* Every place in the option's text. */
static int listen_at_places(struct nxi_tcp *f, const struct ifaddrs *all, const char *text)
{
    for (;;) {
        struct nxi_tcp_place p;
        size_t len = strcspn(text, ",");
        int r = nxi_tcp_place_parse(text, len, &p);
        if (r >= 0)
            r = listen_at_place(f, all, &p);
        if (r < 0 || !text[len])
            return r;
        text += len + 1;
    }
}

/* ---- accepting ----------------------------------------------------------- */

static void set_accepting(struct nxi_tcp *f, bool on)
{
    for (size_t i = 0; i < f->n_listeners; i++) {
        struct epoll_event e = { .events = on ? EPOLLIN : 0, .data.ptr = &f->listeners[i].watch };
        epoll_ctl(f->env->epfd, EPOLL_CTL_MOD, f->listeners[i].fd, &e);
    }
}

void nxi_tcp_schedule(struct nxi_tcp *f)
{
    uint64_t at = f->accept_at;
    if (f->guests && f->guests->deadline < at)
        at = f->guests->deadline;
    nxi_timer_set(f->env->timers, &f->timer, at);
}

static void on_timer(struct nxi_timer *t, uint64_t now)
{
    struct nxi_tcp *f = nxi_tcp_of(t, struct nxi_tcp, timer);
    if (f->accept_at <= now) {
        f->accept_at = NXI_NEVER;
        set_accepting(f, true);
    }
    nxi_tcp_guests_late(f, now);
}

static void on_accept(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    struct nxi_tcp_listener *ls = nxi_tcp_of(w, struct nxi_tcp_listener, watch);
    struct nxi_tcp *f = ls->fabric;
    (void)events;
    for (int i = 0; i < ACCEPT_SHARE; i++) {
        union nxi_tcp_addr peer = { 0 };
        socklen_t len = sizeof peer;
        int fd = accept4(ls->fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            nxi_tcp_guest_new(f, fd, &peer, now);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        /* No descriptors, most likely. The connection stays where it is, so epoll
         * would tell of it for ever; nothing tells when there are some again. */
        char why[96];
        nxi_log(NXI_LOG_WARNING, "tcp: accepting pauses: %s", strerror_r(errno, why, sizeof why));
        set_accepting(f, false);
        f->accept_at = nxi_after(now, PAUSE);
        nxi_tcp_schedule(f);
        return;
    }
}

int nxi_tcp_listen(struct nxi_tcp *f)
{
    const struct nxi_tcp_place anywhere = { 0 };
    struct ifaddrs *all = NULL;
    f->accept_at = NXI_NEVER;
    f->timer.fn = on_timer;
    if (getifaddrs(&all) < 0)
        return nxi_fail_errno(NXC_ESYSTEM, errno, "getifaddrs");
    int r = f->env->listen ? listen_at_places(f, all, f->env->listen) : listen_at_place(f, all, &anywhere);
    freeifaddrs(all);
    return r;
}

void nxi_tcp_unlisten(struct nxi_tcp *f)
{
    for (size_t i = 0; i < f->n_listeners; i++) {
        int fd = f->listeners[i].fd;
        if (fd < 0)
            continue; /* closed in the child of a fork */
        epoll_ctl(f->env->epfd, EPOLL_CTL_DEL, fd, NULL);
        close(fd);
    }
    f->n_listeners = 0;
}
