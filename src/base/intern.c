/* SPDX-License-Identifier: Apache-2.0 */
#include "base/intern.h"

#include "base/mem.h"

#include <pthread.h>
#include <string.h>

enum { TEXTS_MAX = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char           *texts[TEXTS_MAX];

const char *nxi_intern(const char *text, const char *fallback)
{
    const char *found = NULL;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < TEXTS_MAX && !found; i++) {
        if (!texts[i] && !(texts[i] = nxi_dup(text)))
            break;
        if (!strcmp(texts[i], text))
            found = texts[i];
    }
    pthread_mutex_unlock(&lock);
    return found ? found : fallback;
}
