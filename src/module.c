/* SPDX-License-Identifier: Apache-2.0 */
#include "module.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fabric/ucx_module.h"
#include "hostlib.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>

static const struct nxi_ucx_core core = {
    .version = NXI_UCX_MODULE,
    .fail = nxi_fail,
    .log = nxi_log,
    .calloc = nxi_calloc,
};

static pthread_mutex_t              lock = PTHREAD_MUTEX_INITIALIZER;
static const struct nxi_ucx_module *module;

static int load(void)
{
    char path[PATH_MAX];
    int  r = nxi_hostlib_find(NXI_UCX_MODULE_FILE, path, sizeof path);
    if (r < 0)
        return nxi_fail(r, "NXC_PEERS_ANY and ucx need the UCX module, " NXI_UCX_MODULE_FILE ", which is not installed");
    /* Never unloaded: UCX leaves handlers and threads that run its code. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return nxi_fail(NXC_ENOTSUP, "the UCX module: %s", dlerror());
    nxi_ucx_module_fn entry;
    *(void **)&entry = dlsym(handle, NXI_UCX_MODULE_ENTRY);
    const struct nxi_ucx_module *found = entry ? entry(&core) : NULL;
    if (!found || found->version != NXI_UCX_MODULE)
        return nxi_fail(NXC_ENOTSUP, "the UCX module %s belongs to another version of the library", path);
    module = found;
    return 0;
}

int nxi_module_ucx_open(const struct nxi_fabric_env *env, struct nxi_fabric **ret_f)
{
    pthread_mutex_lock(&lock);
    int r = module ? 0 : load();
    pthread_mutex_unlock(&lock);
    return r < 0 ? r : module->open(env, ret_f);
}
