/* SPDX-License-Identifier: Apache-2.0 */
#include "hostlib.h"

#include "base/error.h"
#include "base/mem.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20 };

/* ---- where --------------------------------------------------------------- */

/* Sets *ret_path only when the file is there. */
static bool is_in(const char *dir, size_t dir_len, const char *name, char *ret_path, size_t cap)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%.*s/%s", (int)dir_len, dir, name);
    if (n < 0 || (size_t)n >= sizeof path || (size_t)n >= cap || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    memcpy(ret_path, path, (size_t)n + 1);
    return true;
}

static bool is_beside(const char *name, char *ret_path, size_t cap)
{
    Dl_info self;
    const char *slash = NULL;
    if (dladdr((const void *)nxi_hostlib_find, &self) && self.dli_fname)
        slash = strrchr(self.dli_fname, '/');
    return slash && is_in(self.dli_fname, (size_t)(slash - self.dli_fname), name, ret_path, cap);
}

/* Asks the loader for its list of folders. */
static bool is_on_list(void *program, const char *name, char *ret_path, size_t cap)
{
    Dl_serinfo size;
    if (dlinfo(program, RTLD_DI_SERINFOSIZE, &size) < 0)
        return false;
    Dl_serinfo *list = nxi_calloc(1, size.dls_size);
    if (!list)
        return false;
    list->dls_size = size.dls_size;
    list->dls_cnt = size.dls_cnt;
    bool found = false;
    if (dlinfo(program, RTLD_DI_SERINFO, list) == 0)
        for (unsigned i = 0; i < list->dls_cnt && !found; i++)
            found = is_in(list->dls_serpath[i].dls_name, strlen(list->dls_serpath[i].dls_name), name, ret_path, cap);
    free(list);
    return found;
}

int nxi_hostlib_find(const char *name, char *ret_path, size_t cap)
{
    /* Most systems list it in ld.so.conf, which the loader doesn't tell of. */
    static const char local[] = "/usr/local/lib";
    void *program = dlopen(NULL, RTLD_LAZY);
    bool found = is_beside(name, ret_path, cap) || (program && is_on_list(program, name, ret_path, cap)) ||
                 is_in(local, sizeof local - 1, name, ret_path, cap);
    if (program)
        dlclose(program);
    return found ? 0 : nxi_fail(NXC_ENOTSUP, "%s is not installed", name);
}

/* ---- which --------------------------------------------------------------- */

/* Length of a number of one or two digits at p. */
static size_t number_len(const char *p)
{
    if (!isdigit((unsigned char)p[0]))
        return 0;
    return isdigit((unsigned char)p[1]) ? 2 : 1;
}

/* Length of "1.13.1" and its NUL at p, else 0. What follows p ends in a NUL. */
static size_t version_len(const char *p)
{
    const char *at = p;
    if (*at < '1' || *at > '9')
        return 0;
    at++;
    for (int i = 0; i < 2; i++) {
        size_t n = *at == '.' ? number_len(at + 1) : 0;
        if (n == 0)
            return 0;
        at += 1 + n;
    }
    return *at == '\0' ? (size_t)(at - p) + 1 : 0;
}

static int find_version(const char *bytes, size_t len, char *ret_version, size_t cap)
{
    for (size_t i = 1; i < len; i++) {
        size_t n = version_len(bytes + i);
        /* GLIBC_2.2.5 is the version of a symbol. The byte before may be
         * any other: it belongs to something else. */
        if (n == 0 || n > cap || bytes[i - 1] == '_' || bytes[i - 1] == '.')
            continue;
        memcpy(ret_version, bytes + i, n);
        return 0;
    }
    return nxi_fail(NXC_ENOTSUP, "no version in the file");
}

/* The whole file with a NUL behind it. Read rather than mapped: somebody could
 * cut it short meanwhile. */
static int read_file(int fd, char **ret_bytes, size_t *ret_len)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > FILE_MAX)
        return nxi_fail(NXC_ENOTSUP, "a file of this size is no such library");
    char *bytes = nxi_calloc(1, (size_t)st.st_size + 1);
    if (!bytes)
        return NXC_ENOMEM;
    size_t len = 0;
    for (ssize_t n; len < (size_t)st.st_size; len += (size_t)n) {
        n = read(fd, bytes + len, (size_t)st.st_size - len);
        if (n <= 0)
            break;
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

int nxi_hostlib_version(const char *path, char *ret_version, size_t cap)
{
    char *bytes = NULL;
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return nxi_fail_errno(NXC_ENOTSUP, errno, path);
    int r = read_file(fd, &bytes, &len);
    close(fd);
    if (r == 0)
        r = find_version(bytes, len, ret_version, cap);
    free(bytes);
    return r;
}
