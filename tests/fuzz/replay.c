/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over the inputs that are kept, where libFuzzer does not: every file of the folders named. */
#include "fuzz.h"

#include <ftw.h>
#include <sys/stat.h>

static unsigned replayed;

static int replay_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F)
        return 0;
    FILE *file = fopen(path, "re");
    uint8_t *data = malloc((size_t)status->st_size + 1);
    HOLDS(file && data);
    size_t size = fread(data, 1, (size_t)status->st_size, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        HOLDS(nftw(argv[i], replay_one, 16, FTW_PHYS) == 0);
    HOLDS(replayed > 0);
    printf("%u inputs\n", replayed);
    return 0;
}
