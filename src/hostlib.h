/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_HOSTLIB_H
#define NXI_HOSTLIB_H
/* Shared libraries of this host, looked at as files: loading one would run its
 * code, and that of UCX installs signal handlers. */
#include <stddef.h>

/* Looks for a file such as "libucp.so.0" beside this library, then where the
 * loader looks: the program's RUNPATH, LD_LIBRARY_PATH, the system's folders. NXC_ENOTSUP
 * when it is nowhere. */
int nxi_hostlib_find(const char *name, char *ret_path, size_t cap);

/* Finds a version such as "1.13.1" that stands as a text of its own in a file. UCX
 * says it nowhere else: its links are all named .so.0.0.0. NXC_ENOTSUP when there is none. */
int nxi_hostlib_version(const char *path, char *ret_version, size_t cap);

#endif
