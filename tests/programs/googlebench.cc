// SPDX-License-Identifier: MIT
// The same preads of 4 KiB under Google Benchmark; FAULTLINE_TEST_FILE names the file. Compiled by `scripts/selfbench
// --tools` where the library is installed.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

static void preads(benchmark::State &state)
{
    static unsigned char block[4096];
    struct stat status;
    const char *path = getenv("FAULTLINE_TEST_FILE");
    int fd = path ? open(path, O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &status) || status.st_size < (off_t)sizeof block) {
        state.SkipWithError("FAULTLINE_TEST_FILE names no file of a block");
        return;
    }
    uint64_t blocks = (uint64_t)status.st_size / sizeof block, drawn = 88172645463325252u;
    for (auto _ : state) {
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        if (pread(fd, block, sizeof block, (off_t)(drawn % blocks * sizeof block)) != (ssize_t)sizeof block)
            state.SkipWithError("pread");
        benchmark::ClobberMemory();
    }
    close(fd);
}
BENCHMARK(preads)->UseRealTime();
BENCHMARK_MAIN();
