/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target on the files named, without libFuzzer: to replay what it
 * found, and to keep a corpus as a test. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    long  len = -1;
    if (f && fseek(f, 0, SEEK_END) == 0)
        len = ftell(f);
    uint8_t *bytes = len < 0 ? NULL : malloc(len ? (size_t)len : 1);
    int      ok = bytes && fseek(f, 0, SEEK_SET) == 0 && fread(bytes, 1, (size_t)len, f) == (size_t)len;
    if (ok)
        LLVMFuzzerTestOneInput(bytes, (size_t)len);
    else
        fprintf(stderr, "can't read %s\n", path);
    free(bytes);
    if (f)
        fclose(f);
    return ok;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed += !replay(argv[i]);
    printf("%d files\n", argc - 1 - failed);
    return failed != 0;
}
