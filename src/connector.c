/* SPDX-License-Identifier: Apache-2.0 */
#include "connector.h"

#include "base/error.h"
#include "codec/text.h"
#include "module.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum { WORKER_ID_MAX = 200 };

/* ---- what it is called ----------------------------------------------------- */

static int set_name(struct nxc_connector *c, const char *worker_id)
{
    char random_id[33];
    if (!worker_id) {
        uint8_t bytes[16];
        randombytes_buf(bytes, sizeof bytes);
        worker_id = sodium_bin2hex(random_id, sizeof random_id, bytes, sizeof bytes);
    }
    size_t len = strlen(worker_id);
    if (!len || len > WORKER_ID_MAX)
        return nxi_fail(NXC_EINVAL, "worker_id: %zu bytes, 1 to %d are allowed", len, WORKER_ID_MAX);
    if (!nxi_utf8_valid(worker_id, len)) /* no reader would take the ticket */
        return nxi_fail(NXC_EINVAL, "worker_id: not UTF-8");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)worker_id[i] < 0x20)
            return nxi_fail(NXC_EINVAL, "worker_id: a control character at byte %zu", i);
    c->name = nxi_dup(worker_id);
    if (!c->name || asprintf(&c->agent_name, "%s-1", worker_id) < 0)
        return nxi_fail(NXC_ENOMEM, "no memory for a connector");
    return 0;
}

static int make_entry(struct nxc_connector *c)
{
    struct nxi_entry e = { .version = NXI_PROTOCOL, .version_min = NXI_PROTOCOL_MIN };
    int              r;
    memcpy(e.instance, c->env.instance, sizeof e.instance);
    memcpy(e.link_key, c->env.link_key, sizeof e.link_key);
    for (size_t i = 0; i < c->n_fabrics; i++)
        if ((r = c->fabrics[i]->ops->addrs(c->fabrics[i], &e)) < 0)
            return r;
    if (e.n)
        c->entry_len = nxi_entry_encode(&e, c->entry);
    return 0;
}

/* The blob for native peers is the same in all tickets, so it is made and deflated once. */
static int make_blob(struct nxc_connector *c)
{
    int r = make_entry(c);
    if (r < 0 || c->onesided)
        return r;
    struct nxi_agent_conn conn = { { (const uint8_t *)"NXC", 3 }, { c->entry, c->entry_len } };
    r = nxi_agent_encode(c->agent_name, &conn, 1, NULL, 0, &c->blob, &c->blob_len);
    if (r < 0)
        return r;
    return nxi_blob_to_text(c->blob, c->blob_len, false, &c->blob_text[NXC_B64]);
}

void nxi_connector_random(struct nxc_connector *c, void *buf, size_t len)
{
    pthread_mutex_lock(&c->text_lock);
    if (c->random_left < len) {
        /* libsodium asks the kernel for 256 bytes a time; this is one call for all. */
        if (getrandom(c->random, sizeof c->random, 0) != (ssize_t)sizeof c->random)
            randombytes_buf(c->random, sizeof c->random);
        c->random_left = sizeof c->random;
    }
    c->random_left -= len;
    memcpy(buf, c->random + c->random_left, len);
    sodium_memzero(c->random + c->random_left, len); /* a key is kept in one place only */
    pthread_mutex_unlock(&c->text_lock);
}

/* ---- fabrics ---------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*open)(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f);
} known_fabrics[] = { { "shm", nxi_shm_open }, { "tcp", nxi_tcp_open }, { "ucx", nxi_module_ucx_open } }; /* best first */

/* Is name one of the comma separated words of list? */
static bool listed(const char *list, const char *name, size_t len)
{
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strcspn(at, ",") == len && !strncmp(at, name, len))
            return true;
    return false;
}

static int check_words(const char *option, const char *list, bool any)
{
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL) {
        size_t len = strcspn(at, ",");
        if (!listed("shm,tcp,ucx", at, len))
            return nxi_fail(NXC_EINVAL, "%s: \"%.*s\" is none of shm, tcp, ucx", option, (int)len, at);
        if (!any && len == 3 && !strncmp(at, "ucx", 3))
            return nxi_fail(NXC_ENOTSUP, "%s: ucx is for NIXL workers, which the option peers admits (NXC_PEERS_ANY)",
                            option);
    }
    return 0;
}

static int open_fabrics(struct nxc_connector *c, const char *transports, bool any)
{
    for (size_t i = 0; i < sizeof known_fabrics / sizeof *known_fabrics; i++) {
        const char *name = known_fabrics[i].name;
        bool        ucx = !strcmp(name, "ucx"), asked = transports || ucx;
        if (transports ? !listed(transports, name, strlen(name)) : ucx && !any)
            continue;
        int r = known_fabrics[i].open(&c->env, &c->fabrics[c->n_fabrics]);
        if (r == 0 && ucx)
            c->onesided = c->fabrics[c->n_fabrics];
        if (r == 0)
            c->n_fabrics++;
        else if (asked || r != NXC_ENOTSUP) /* by default: what this host can */
            return r;
    }
    return c->n_fabrics ? 0 : nxi_fail(NXC_ENOTSUP, "this host has neither shared memory nor TCP for us");
}

static int open_native(struct nxc_connector *c, const struct nxc_connector_opts *o)
{
    struct nxi_native_config config = {
        .timers = &c->timers,
        .onesided = c->onesided,
        .agent_name = c->agent_name,
        .connect_ms = c->env.connect_ms,
        .keepalive_ms = c->keepalive_ms,
        .turn_bytes = (o->turn_kb ? o->turn_kb : 256) * 1024u,
        .links = &c->stats.peers,
        .arg = c,
        .begun = nxi_op_on_begun,
        .ended = nxi_op_on_ended,
        .refill = nxi_progress_refill,
    };
    for (size_t i = 0; i < c->n_fabrics; i++) {
        if (c->fabrics[i] != c->onesided)
            config.fabrics[config.n_fabrics++] = c->fabrics[i];
        if (o->require && !strcmp(c->fabrics[i]->ops->name, o->require))
            config.require = c->fabrics[i];
    }
    c->require_nixl = c->onesided && config.require == c->onesided;
    if (o->require && !config.require)
        return nxi_fail(NXC_EINVAL, "require: %s is not among the transports", o->require);
    return nxi_native_new(&config, &c->native);
}

/* ---- descriptors of our own ---------------------------------------------------- */

static int watch_in(int epfd, int fd, void *ptr)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = ptr };
    return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
}

/* The lead's bell is looked at by who rings and who sleeps, not by the dispatcher. */
static void ignore_watch(struct nxi_watch *w, uint32_t events, uint64_t now)
{
    (void)w, (void)events, (void)now;
}

static int open_descriptors(struct nxc_connector *c)
{
    c->lead_watch.fn = ignore_watch;
    if ((c->env.epfd = epoll_create1(EPOLL_CLOEXEC)) < 0 || (c->thread_epfd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        (c->ends_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (c->thread_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (c->lead_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        watch_in(c->env.epfd, c->lead_bell, &c->lead_watch) < 0 ||
        watch_in(c->thread_epfd, c->thread_bell, NULL) < 0 || watch_in(c->thread_epfd, c->env.epfd, NULL) < 0)
        return nxi_fail_errno(NXC_ESYSTEM, errno, "descriptors for a connector");
    return 0;
}

static void close_descriptors(struct nxc_connector *c)
{
    int *fds[] = { &c->env.epfd, &c->thread_epfd, &c->ends_fd, &c->thread_bell, &c->lead_bell };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* ---- life ------------------------------------------------------------------- */

static void set_options(struct nxc_connector *c, const struct nxc_connector_opts *o)
{
    uint32_t spin_us = o->spin_us == NXC_OFF ? 0 : o->spin_us ? o->spin_us : 50;
    c->spin_ns = spin_us * NXI_US;
    c->max_ops = o->max_ops == NXC_OFF ? UINT32_MAX : o->max_ops ? o->max_ops : 65536;
    c->keepalive_ms = o->keepalive_ms ? o->keepalive_ms : 5000;
    c->env.connect_ms = o->connect_ms ? o->connect_ms : 5000;
    c->env.keepalive_ms = c->keepalive_ms;
    c->env.listen = o->listen;
    c->env.timers = &c->timers;
    randombytes_buf(c->env.instance, sizeof c->env.instance);
    randombytes_buf(c->env.link_key, sizeof c->env.link_key);
}

static int check_options(const struct nxc_connector_opts *o)
{
    if (o->keepalive_ms == NXC_OFF || o->connect_ms == NXC_OFF || o->turn_kb == NXC_OFF)
        return nxi_fail(NXC_EINVAL, "keepalive_ms, connect_ms and turn_kb can't be switched off");
    if (o->turn_kb > 1024 * 1024)
        return nxi_fail(NXC_EINVAL, "turn_kb: %u, at most 1048576", o->turn_kb);
    bool any = o->peers == NXC_PEERS_ANY;
    if (!any && o->peers != NXC_PEERS_NATIVE)
        return nxi_fail(NXC_EINVAL, "peers: unknown value %u", o->peers);
    int r = check_words("transports", o->transports, any);
    if (r < 0)
        return r;
    if (any && o->transports && !listed(o->transports, "ucx", 3))
        return nxi_fail(NXC_EINVAL, "transports: ucx is missing, which NXC_PEERS_ANY needs");
    if (o->require && strchr(o->require, ','))
        return nxi_fail(NXC_EINVAL, "require: one transport, not a list");
    return check_words("require", o->require, any);
}

static void init_locks(struct nxc_connector *c)
{
    pthread_mutex_init(&c->drive, NULL);
    pthread_mutex_init(&c->followers_lock, NULL);
    pthread_mutex_init(&c->ends_lock, NULL);
    pthread_mutex_init(&c->regions_lock, NULL);
    pthread_mutex_init(&c->text_lock, NULL);
}

int nxi_connector_new(const struct nxc_connector_opts *o, struct nxc_connector **ret_c)
{
    int r = check_options(o);
    if (r < 0)
        return r;
    if (sodium_init() < 0)
        return nxi_fail(NXC_ESYSTEM, "no random numbers from the kernel");
    struct nxc_connector *c = nxi_calloc(1, sizeof *c);
    if (!c)
        return nxi_fail(NXC_ENOMEM, "no memory for a connector");
    atomic_init(&c->refs, 1);
    atomic_init(&c->agent_no, 1);
    c->env.epfd = c->thread_epfd = c->ends_fd = c->thread_bell = c->lead_bell = -1;
    init_locks(c);
    set_options(c, o);
    if ((r = set_name(c, o->worker_id)) < 0 || (r = open_descriptors(c)) < 0 ||
        (r = open_fabrics(c, o->transports, o->peers == NXC_PEERS_ANY)) < 0 || (r = open_native(c, o)) < 0 ||
        (r = make_blob(c)) < 0 || (r = nxi_fork_add(c)) < 0)
        goto fail;
    c->env.listen = NULL; /* the caller's text, read when the fabrics were opened */
    if ((r = nxi_progress_start(c)) < 0) {
        nxi_fork_remove(c);
        goto fail;
    }
    *ret_c = c;
    return 0;
fail:
    nxi_native_free(c->native);
    for (size_t i = 0; i < c->n_fabrics; i++)
        c->fabrics[i]->ops->free(c->fabrics[i]);
    c->n_fabrics = 0;
    close_descriptors(c);
    nxi_connector_unref(c);
    return r;
}

void nxi_connector_close(struct nxc_connector *c)
{
    nxi_progress_stop(c);
    nxi_progress_enter(c);
    uint64_t now = nxi_now();
    nxi_progress_refill(c, now);
    nxi_native_stop(c->native, now);
    nxi_progress_finish(c, nxi_after(now, c->keepalive_ms * NXI_MS));
    nxi_native_free(c->native);
    c->native = NULL;
    pthread_mutex_unlock(&c->drive);
    nxi_fork_remove(c);
    nxi_regions_close(c);
    for (size_t i = 0; i < c->n_fabrics; i++)
        c->fabrics[i]->ops->free(c->fabrics[i]);
    c->n_fabrics = 0;
    nxi_timers_free(&c->timers);
    atomic_store(&c->closed, true);
    close_descriptors(c);
    nxi_connector_unref(c);
}

struct nxc_connector *nxi_connector_ref(struct nxc_connector *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void nxi_connector_unref(struct nxc_connector *c)
{
    if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&c->drive);
    pthread_mutex_destroy(&c->followers_lock);
    pthread_mutex_destroy(&c->ends_lock);
    pthread_mutex_destroy(&c->regions_lock);
    pthread_mutex_destroy(&c->text_lock);
    nxi_timers_free(&c->timers);
    nxi_regions_free(&c->regions);
    free(c->blob);
    free(c->blob_text[NXC_B64]);
    free(c->blob_text[NXC_HEX]);
    free(c->agent_name);
    free(c->name);
    free(c);
}
