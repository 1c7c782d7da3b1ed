/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/ucx_lib.h"

#include "fabric/ucx.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <ucm/api/ucm.h>

const struct nxi_ucx_lib *nxi_ucx_lib;

static pthread_mutex_t    lock = PTHREAD_MUTEX_INITIALIZER;
static struct nxi_ucx_lib found;

static int look_up(void *handle)
{
    static const struct {
        const char *name;
        size_t      at;
    } calls[] = {
#define NXI_UCX_CALL(name) { #name, offsetof(struct nxi_ucx_lib, name) },
        NXI_UCX_CALLS(NXI_UCX_CALL)
#undef NXI_UCX_CALL
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *fn = dlsym(handle, calls[i].name);
        if (!fn)
            return nxi_core->fail(NXC_ENOTSUP, "the UCX here has no %s: version 1.13 or later is needed", calls[i].name);
        *(void **)((char *)&found + calls[i].at) = fn;
    }
    return 0;
}

/* Switches off UCX's watch over memory, for which it patches functions of libc where they
 * lie, and that in a process whose threads may be running them. UCX wants to notice that
 * registered memory goes away; nothing of ours needs that, we give back by ourselves. It is
 * done when its library libucm is first initialized, so that must happen here and with the
 * switch off; what the environment says comes later, and is overruled then. The first
 * members of the structure are the same in every release. */
static void leave_memory_alone(void)
{
    /* Lazily: it calls functions of libucs, which are there when it does. */
    void *handle = dlopen("libucm.so.0", RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return;
    ucm_global_config_t *opts = dlsym(handle, "ucm_global_opts");
    void (*init)(const ucm_global_config_t *opts);
    *(void **)&init = dlsym(handle, "ucm_set_global_opts");
    if (!opts || !init)
        return;
    opts->enable_events = 0;
    init(opts);
    dlopen("libucs.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); /* reads the environment */
    opts->enable_events = 0;
}

/* UCX installs handlers for faults and others in its constructors: whoever made
 * the process decides on those. */
static void *open_quietly(bool ours)
{
    struct sigaction before[NSIG];
    bool             known[NSIG];
    for (int sig = 1; sig < NSIG; sig++)
        known[sig] = sigaction(sig, NULL, &before[sig]) == 0;
    if (ours)
        leave_memory_alone();
    void *handle = dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    for (int sig = 1; sig < NSIG; sig++)
        if (known[sig])
            sigaction(sig, &before[sig], NULL);
    return handle;
}

/* It writes to standard output by default: what went wrong is told by our own errors. */
static void silence(void)
{
    found.ucs_global_opts_set_value("LOG_LEVEL", "fatal");
    found.ucs_global_opts_set_value("LOG_FILE", "stderr");
}

static int load(void)
{
    bool  ours = !dlopen("libucs.so.0", RTLD_NOW | RTLD_NOLOAD); /* else the application has settings of its own */
    void *handle = open_quietly(ours);
    if (!handle)
        return nxi_core->fail(NXC_ENOTSUP, "UCX can't be loaded (libucx0 in Debian): %s", dlerror());
    int r = look_up(handle);
    if (r < 0)
        return r;
    if (ours)
        silence();
    nxi_ucx_lib = &found;
    nxi_core->log(NXI_LOG_INFO, "UCX %s is loaded", found.ucp_get_version_string());
    return 0;
}

int nxi_ucx_lib_load(void)
{
    pthread_mutex_lock(&lock);
    int r = nxi_ucx_lib ? 0 : load();
    pthread_mutex_unlock(&lock);
    return r;
}
