/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"

#include "base/table.h"

#include <pthread.h>
#include <string.h>

enum { SEEN_MAX = 64, SEEN_TEXT_MAX = 16384 };

struct seen {
    struct nxi_agent *agent;
    UT_hash_handle    hh; /* in order of last use, the oldest first */
    size_t            len;
    char              text[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct seen    *all;

static void forget(struct seen *s)
{
    HASH_DEL(all, s);
    nxi_agent_unref(s->agent);
    free(s);
}

static struct nxi_agent *recall(const char *text, size_t len)
{
    struct nxi_agent *found = NULL;
    struct seen      *s;
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, all, text, len, s);
    if (s)
        found = nxi_agent_ref(s->agent);
    /* To the end, but for the newest: in a busy exchange with one peer nothing moves. */
    if (s && s->hh.next) {
        HASH_DEL(all, s);
        HASH_ADD(hh, all, text, s->len, s);
        if (!s->hh.tbl) {
            nxi_agent_unref(s->agent);
            free(s);
        }
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void remember(const char *text, size_t len, struct nxi_agent *a)
{
    struct seen *s = len <= SEEN_TEXT_MAX ? nxi_calloc(1, sizeof *s + len) : NULL, *twin;
    if (!s)
        return; /* it will be inflated again, no more */
    s->agent = nxi_agent_ref(a);
    s->len = len;
    memcpy(s->text, text, len);
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, all, text, len, twin);
    if (!twin)
        HASH_ADD(hh, all, text, s->len, s);
    bool added = !twin && s->hh.tbl;
    if (added && HASH_COUNT(all) > SEEN_MAX)
        forget(all);
    pthread_mutex_unlock(&lock);
    if (!added) {
        nxi_agent_unref(a);
        free(s);
    }
}

int nxi_seen_agent(const char *text, size_t len, struct nxi_agent **ret_a)
{
    struct nxi_agent *a = recall(text, len);
    if (!a) {
        int r = nxi_agent_from_text(text, len, &a);
        if (r < 0)
            return r;
        remember(text, len, a);
    }
    *ret_a = a;
    return 0;
}

/* When the library is unloaded nothing of it stays. */
__attribute__((destructor)) static void forget_all(void)
{
    while (all)
        forget(all);
}
