/*
 * Builds, opens and searches in the floating-point modes that are asked for; prints what was found, bit by bit.
 * Usage: answers default|flush|upward|trap ROWS-FILE ROWS DIMENSIONS QUERIES INDEX-FILE CODES LAYOUT
 */
#include "check.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
static uint64_t modes(void) { return _mm_getcsr(); }
static void set_modes(uint64_t modes) { _mm_setcsr((unsigned)modes); }
enum { FLUSH = 0x8040, UPWARD = 0x4000, TRAPS = 0x1F80, TRAPS_WHEN_SET = 0 };
#elif defined(__aarch64__)
static uint64_t modes(void) {
    uint64_t value;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
}
static void set_modes(uint64_t modes) { __asm__ volatile("msr fpcr, %0" : : "r"(modes)); }
enum { FLUSH = 1 << 24, UPWARD = 1 << 22, TRAPS = 0x1F00, TRAPS_WHEN_SET = 1 };
#else
#error "how this machine's floating-point modes are set belongs here"
#endif

enum { K = 10 };

static nearshore_error error;
static uint64_t callers_modes;
static nearshore_layout layout;

/* The call succeeds and leaves the modes as they were, flags included. */
#define KEEPS_MODES(call)               \
    do {                                \
        set_modes(callers_modes);       \
        OK(call);                       \
        CHECK(modes() == callers_modes); \
    } while (0)

typedef struct {
    uint64_t *ids;
    float *distances;
    size_t *counts;
    nearshore_counters *counters;
} answers;

static answers room(size_t queries) {
    answers all;
    all.ids = (uint64_t *)malloc(queries * K * sizeof *all.ids);
    all.distances = (float *)malloc(queries * K * sizeof *all.distances);
    all.counts = (size_t *)malloc(queries * sizeof *all.counts);
    all.counters = (nearshore_counters *)malloc(queries * sizeof *all.counters);
    CHECK(all.ids && all.distances && all.counts && all.counters);
    return all;
}

static void give_back(answers all) {
    free(all.ids);
    free(all.distances);
    free(all.counts);
    free(all.counters);
}

static int same(answers a, answers b, size_t queries) {
    return memcmp(a.ids, b.ids, queries * K * sizeof *a.ids) == 0 &&
           memcmp(a.distances, b.distances, queries * K * sizeof *a.distances) == 0 &&
           memcmp(a.counts, b.counts, queries * sizeof *a.counts) == 0 &&
           memcmp(a.counters, b.counters, queries * sizeof *a.counters) == 0;
}

static void search(const nearshore_index *index, nearshore_vectors queries, uint32_t threads, answers all, size_t at) {
    nearshore_search_options options = ALL_ZERO;
    options.ef = 40;
    options.threads = threads;
    options.layout = layout;
    KEEPS_MODES(nearshore_search(index, &queries, K, &options, all.ids + at * K, all.distances + at * K, all.counts + at,
                                 all.counters + at, &error));
}

static void print(answers all, size_t queries) {
    for (size_t query = 0; query < queries; query++) {
        CHECK(all.counts[query] == K);
        printf("%llu %llu", (unsigned long long)all.counters[query].distances, (unsigned long long)all.counters[query].hops);
        for (size_t hit = query * K; hit < query * K + K; hit++) {
            uint32_t bits;
            memcpy(&bits, all.distances + hit, sizeof bits);
            printf(" %llu:%08x", (unsigned long long)all.ids[hit], (unsigned)bits);
        }
        printf("\n");
    }
}

int main(int count, char **arguments) {
    CHECK(count == 9);
    const char *path = arguments[6];
    const size_t rows = strtoul(arguments[3], NULL, 10), dimensions = strtoul(arguments[4], NULL, 10);
    const size_t queries = strtoul(arguments[5], NULL, 10);
    float *numbers = (float *)malloc(rows * dimensions * sizeof *numbers);
    uint64_t *ids = (uint64_t *)malloc(rows * sizeof *ids);
    FILE *file = fopen(arguments[2], "rb");
    CHECK(file && numbers && ids && fread(numbers, sizeof *numbers, rows * dimensions, file) == rows * dimensions);
    fclose(file);
    for (size_t row = 0; row < rows; row++) ids[row] = 1000000 - 3 * row;

    const uint64_t before = modes();
    callers_modes = before;
    if (strcmp(arguments[1], "flush") == 0) callers_modes |= FLUSH;
    if (strcmp(arguments[1], "upward") == 0) callers_modes |= UPWARD;
    if (strcmp(arguments[1], "trap") == 0) callers_modes = TRAPS_WHEN_SET ? before | TRAPS : before & ~(uint64_t)TRAPS;
    set_modes(callers_modes);
    /* A processor may lack traps. */
    callers_modes = modes();

    nearshore_vectors vectors = {numbers, rows, dimensions, NEARSHORE_F32};
    nearshore_build_options options = ALL_ZERO;
    options.m = 8;
    options.ef_construction = 40;
    options.threads = 2;
    options.codes = atoi(arguments[7]);
    options.layout = layout = atoi(arguments[8]);
    options.replace = 1;
    KEEPS_MODES(nearshore_build(path, &vectors, ids, &options, &error));

    nearshore_index *index;
    answers first = room(queries), other = room(queries);
    KEEPS_MODES(nearshore_open(path, NEARSHORE_MMAP, &index, &error));
    vectors.rows = queries;
    search(index, vectors, 1, first, 0);
    search(index, vectors, 3, other, 0);
    CHECK(same(first, other, queries));
    if (layout == NEARSHORE_LEAN) {
        nearshore_search_options fast = ALL_ZERO;
        fast.layout = NEARSHORE_FAST;
        FAILS(NEARSHORE_UNSUPPORTED, "has no codes of neighbours", nearshore_search(index, &vectors, K, &fast, other.ids,
              other.distances, NULL, NULL, &error));
    }
    nearshore_close(index);
    CHECK(modes() == callers_modes);

    KEEPS_MODES(nearshore_open(path, NEARSHORE_SLICE, &index, &error));
    memset(other.ids, 0, queries * K * sizeof *other.ids);
    for (size_t query = 0; query < queries; query++) {
        nearshore_vectors one = {numbers + query * dimensions, 1, dimensions, NEARSHORE_F32};
        search(index, one, 0, other, query);
    }
    CHECK(same(first, other, queries));
    nearshore_close(index);

    set_modes(before);
    print(first, queries);
    give_back(first);
    give_back(other);
    free(numbers);
    free(ids);
    return 0;
}
