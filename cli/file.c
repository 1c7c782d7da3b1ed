/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include "guard.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What an empty file's descriptor points at: mmap makes no empty mapping. */
static char nothing[1];

static bool map(int fd, size_t len, int protection, struct mapping *ret_map)
{
    struct mapping m = { nothing, len };
    if (len) {
        m.addr = mmap(NULL, len, protection, MAP_SHARED, fd, 0);
        if (m.addr == MAP_FAILED)
            return false;
        if (!guard_begin(m.addr, len)) {
            munmap(m.addr, len);
            return false;
        }
    }
    *ret_map = m;
    return true;
}

static void unmap(struct mapping *m)
{
    if (m->len)
        munmap(m->addr, m->len);
    *m = (struct mapping){ 0 };
}

/* ---- input --------------------------------------------------------------- */

bool input_open(const char *path, struct input *ret_in)
{
    struct input in = { .path = path };
    struct stat st;
    /* Opening a FIFO without O_NONBLOCK waits for its writer. */
    in.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in.fd < 0 || fstat(in.fd, &st) < 0) {
        say_errno("cannot open %s", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        say("%s is not a regular file", path);
        goto fail;
    }
    if ((uint64_t)st.st_size > SIZE_MAX || !map(in.fd, (size_t)st.st_size, PROT_READ, &in.map)) {
        say_errno("cannot map %s", path);
        goto fail;
    }
    *ret_in = in;
    return true;
fail:
    input_close(&in);
    return false;
}

bool input_shrank(const struct input *in)
{
    struct stat st;
    return guard_hit() || fstat(in->fd, &st) < 0 || (uint64_t)st.st_size < in->map.len;
}

void input_close(struct input *in)
{
    unmap(&in->map);
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
}

/* ---- output -------------------------------------------------------------- */

/* Most of the time of a large transfer would go into making the output's pages one
 * by one, as each is first written. Made in one go they cost half, and before
 * the peer waits. What is beyond should not push others' pages out of memory early. */
enum { PREPARED = 1 << 30 };

static void prepare_pages(const struct mapping *m)
{
#ifdef MADV_POPULATE_WRITE
    if (m->len)
        madvise(m->addr, m->len < PREPARED ? m->len : PREPARED, MADV_POPULATE_WRITE);
#else
    (void)m;
#endif
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int open_dir(const char *path)
{
    char *dir = strndup(path, (size_t)(base_name(path) - path));
    if (!dir)
        return -1;
    int fd = open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    return fd;
}

/* Says so when the name is taken. A link counts as what it is, not as what it
 * points at: naming the output would replace the link. */
static bool name_is_free(const struct output *out)
{
    struct stat st;
    const char *name = base_name(out->path);
    if (*name == '\0') {
        say("%s is not a file's name", out->path);
        return false;
    }
    if (fstatat(out->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return true;
        say_errno("cannot create %s", out->path);
        return false;
    }
    if (out->force && S_ISREG(st.st_mode))
        return true;
    if (S_ISREG(st.st_mode))
        say("%s exists already; --force replaces it", out->path);
    else
        say("%s exists already and is not a regular file", out->path);
    return false;
}

static bool fresh_name(char temp[32])
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return false;
    snprintf(temp, 32, ".nxconnect.%016llx", (unsigned long long)number);
    return true;
}

/* A file without a name goes by itself, even after SIGKILL. Not every file system
 * has that; there it gets a name of its own. */
static bool create(struct output *out)
{
    out->fd = openat(out->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (out->fd >= 0)
        return true;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return false;
    if (!fresh_name(out->temp))
        return false;
    out->fd = openat(out->dir, out->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (out->fd < 0)
        out->temp[0] = '\0'; /* whosever it is, it isn't ours to remove */
    return out->fd >= 0;
}

/* All of it now: writing to a mapping has no way to say that the disk is full. */
static bool allocate(struct output *out, uint64_t size)
{
    if (size == 0)
        return true;
    int r = posix_fallocate(out->fd, 0, (off_t)size);
    if (r == 0)
        return true;
    errno = r;
    char human[TEXT_SIZE];
    say_errno("cannot allocate %s for %s", text_size(size, human), out->path);
    return false;
}

bool output_open(const char *path, uint64_t size, bool force, struct output *ret_out)
{
    struct output out = { .path = path, .force = force, .fd = -1 };
    out.dir = open_dir(path);
    if (out.dir < 0) {
        say_errno("cannot create %s", path);
        return false;
    }
    if (!name_is_free(&out))
        goto fail;
    if (!create(&out)) {
        say_errno("cannot create %s", path);
        goto fail;
    }
    if (!allocate(&out, size))
        goto fail;
    if (!map(out.fd, (size_t)size, PROT_READ | PROT_WRITE, &out.map)) {
        say_errno("cannot map %s", path);
        goto fail;
    }
    prepare_pages(&out.map);
    *ret_out = out;
    return true;
fail:
    output_close(&out);
    return false;
}

/* Gives the nameless file a name that nobody has. */
static bool link_as(const struct output *out, const char *name)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", out->fd);
    return linkat(AT_FDCWD, self, out->dir, name, AT_SYMLINK_FOLLOW) == 0;
}

static bool rename_to(struct output *out, const char *name)
{
    unsigned flags = out->force ? 0 : RENAME_NOREPLACE;
    if (renameat2(out->dir, out->temp, out->dir, name, flags) == 0) {
        out->temp[0] = '\0';
        return true;
    }
    /* A file system without RENAME_NOREPLACE. A link never replaces either;
     * output_close() removes the other name. */
    return errno == EINVAL && linkat(out->dir, out->temp, out->dir, name, 0) == 0;
}

bool output_name(struct output *out)
{
    const char *name = base_name(out->path);
    bool done;
    if (*out->temp)
        done = rename_to(out, name);
    else if (!out->force)
        done = link_as(out, name);
    else /* a link can't replace a file, a rename can */
        done = fresh_name(out->temp) && link_as(out, out->temp) && rename_to(out, name);
    if (!done)
        say_errno("cannot give %s its name", out->path);
    return done;
}

void output_close(struct output *out)
{
    unmap(&out->map);
    if (*out->temp)
        unlinkat(out->dir, out->temp, 0);
    if (out->fd >= 0)
        close(out->fd);
    if (out->dir >= 0)
        close(out->dir);
    *out = (struct output)OUTPUT_INIT;
}
