/* SPDX-License-Identifier: Apache-2.0 */
/* What fork() means: the child closes its copies of our descriptors, so that the
 * death of the parent is seen by its peers, and knows that it is a child. */
#include "base/error.h"
#include "connector.h"

#include <unistd.h>

static pthread_mutex_t       lock = PTHREAD_MUTEX_INITIALIZER;
static struct nxc_connector *connectors;
static atomic_uint           forks;
static pthread_once_t        once = PTHREAD_ONCE_INIT;
static int                   once_result;

unsigned nxi_fork_count(void)
{
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

/* With every drive held nobody is in the middle of a fabric while the copy is made. */
static void prepare(void)
{
    struct nxc_connector *c;
    pthread_mutex_lock(&lock);
    DL_FOREACH2 (connectors, c, fork_next)
        nxi_progress_enter(c);
}

static void parent(void)
{
    struct nxc_connector *c;
    DL_FOREACH2 (connectors, c, fork_next) {
        if (c->native)
            nxi_progress_leave(c); /* the thread that gave way to us counts on it */
        else
            pthread_mutex_unlock(&c->drive); /* it is being freed, and there is nothing left to drive */
    }
    pthread_mutex_unlock(&lock);
}

static void child(void)
{
    struct nxc_connector *c;
    atomic_fetch_add(&forks, 1);
    DL_FOREACH2 (connectors, c, fork_next) {
        for (size_t i = 0; i < c->n_fabrics; i++)
            c->fabrics[i]->ops->forked(c->fabrics[i]);
        close(c->env.epfd);
        close(c->thread_epfd);
        close(c->thread_bell);
        close(c->lead_bell);
        close(c->ends_fd);
        pthread_mutex_unlock(&c->drive);
    }
    connectors = NULL;
    pthread_mutex_unlock(&lock);
}

static void install(void)
{
    once_result = pthread_atfork(prepare, parent, child);
}

int nxi_fork_add(struct nxc_connector *c)
{
    pthread_once(&once, install);
    if (once_result != 0)
        return nxi_fail_errno(NXC_ENOMEM, once_result, "pthread_atfork");
    pthread_mutex_lock(&lock);
    c->fork_count = nxi_fork_count();
    DL_APPEND2(connectors, c, fork_prev, fork_next);
    pthread_mutex_unlock(&lock);
    return 0;
}

void nxi_fork_remove(struct nxc_connector *c)
{
    pthread_mutex_lock(&lock);
    DL_DELETE2(connectors, c, fork_prev, fork_next);
    pthread_mutex_unlock(&lock);
}
