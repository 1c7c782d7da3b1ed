/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostlib.h"

#include <dirent.h>
#include <nxconnect/nxconnect.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = { "shm",     "pull",  "pidfd", "tcp",  "ports",
                                     "memlock", "files", "cpus",  "cuda", "ucx" };
enum { NAMES = sizeof names / sizeof names[0] };

struct seen {
    unsigned count[NAMES];
    int      result[NAMES];
    unsigned strangers, without_text;
};

static void note(const char *name, int result, const char *text, void *arg)
{
    struct seen *seen = arg;
    seen->without_text += text[0] == '\0' || strchr(text, '\n');
    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(name, names[i]) != 0)
            continue;
        seen->count[i]++;
        seen->result[i] = result;
        return;
    }
    seen->strangers++;
}

static unsigned open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    unsigned n = 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static bool is_mapped(const char *library)
{
    char line[4096];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        found = found || strstr(line, library);
    fclose(maps);
    return found;
}

static void test_check_needs_a_listener(void **state)
{
    (void)state;
    assert_int_equal(nxc_host_check(NULL, NULL), NXC_EINVAL);
}

static void test_check_tells_of_everything_with_a_reason(void **state)
{
    (void)state;
    struct seen seen = { 0 };
    assert_int_equal(nxc_host_check(note, &seen), 0);
    for (size_t i = 0; i < NAMES; i++) {
        /* tcp has a line for each address. */
        assert_true(strcmp(names[i], "tcp") == 0 ? seen.count[i] >= 1 : seen.count[i] == 1);
        assert_true(seen.result[i] == 0 || strcmp(nxc_err_name(seen.result[i]), "NXC_OK") != 0);
        assert_true(seen.result[i] <= 0);
    }
    assert_int_equal(seen.strangers, 0);
    assert_int_equal(seen.without_text, 0);
}

static void test_check_leaves_nothing_behind(void **state)
{
    (void)state;
    struct seen seen = { 0 };
    nxc_host_check(note, &seen);
    unsigned before = open_files();
    nxc_host_check(note, &seen);
    assert_int_equal(open_files(), before);
    assert_false(is_mapped("libucp") || is_mapped("libcuda"));
}

static void test_a_library_that_is_loaded_is_found(void **state)
{
    (void)state;
    char path[4096];
    assert_int_equal(nxi_hostlib_find("libc.so.6", path, sizeof path), 0);
    assert_int_equal(access(path, R_OK), 0);
}

static void test_a_library_that_is_nowhere_is_not_found(void **state)
{
    (void)state;
    char path[4096] = "untouched";
    assert_int_equal(nxi_hostlib_find("libnxconnect-of-nobody.so.0", path, sizeof path), NXC_ENOTSUP);
    assert_non_null(strstr(nxc_err_detail(), "libnxconnect-of-nobody.so.0"));
    assert_string_equal(path, "untouched");
}

static void test_a_path_that_does_not_fit_is_not_found(void **state)
{
    (void)state;
    char path[8];
    assert_int_equal(nxi_hostlib_find("libc.so.6", path, sizeof path), NXC_ENOTSUP);
}

/* Writes bytes to a file, asks for its version, and removes it. */
static int version_of(const char *bytes, size_t len, char *ret_version, size_t cap)
{
    char path[] = "/tmp/nxconnect-check.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
    int r = nxi_hostlib_version(path, ret_version, cap);
    unlink(path);
    return r;
}

static void test_a_version_is_found_among_other_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "\177ELF\0GLIBC_2.2.5\0001.2\0001.2.x\0A1.13.1\0rest";
    char version[16];
    assert_int_equal(version_of(bytes, sizeof bytes, version, sizeof version), 0);
    assert_string_equal(version, "1.13.1");
}

static void test_a_version_may_be_cut_off_by_the_end_of_the_file(void **state)
{
    (void)state;
    static const char bytes[] = "..1.22.";
    char version[16];
    for (size_t len = 1; len < sizeof bytes; len++)
        assert_int_equal(version_of(bytes, len, version, sizeof version), NXC_ENOTSUP);
}

static void test_a_file_that_is_not_there_has_no_version(void **state)
{
    (void)state;
    char version[16];
    assert_int_equal(nxi_hostlib_version("/nowhere/libucp.so.0", version, sizeof version), NXC_ENOTSUP);
    assert_int_equal(version_of("", 0, version, sizeof version), NXC_ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_needs_a_listener),
        cmocka_unit_test(test_check_tells_of_everything_with_a_reason),
        cmocka_unit_test(test_check_leaves_nothing_behind),
        cmocka_unit_test(test_a_library_that_is_loaded_is_found),
        cmocka_unit_test(test_a_library_that_is_nowhere_is_not_found),
        cmocka_unit_test(test_a_path_that_does_not_fit_is_not_found),
        cmocka_unit_test(test_a_version_is_found_among_other_bytes),
        cmocka_unit_test(test_a_version_may_be_cut_off_by_the_end_of_the_file),
        cmocka_unit_test(test_a_file_that_is_not_there_has_no_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
