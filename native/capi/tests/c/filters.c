/* Searches among rows that filters select. Usage: filters FILE QUERIES DIMENSIONS FILTER...: `price` and `brand` are its columns. */
#include "check.h"

#define K 10

static nearshore_error error;
static nearshore_index *opened;

static void refuses(nearshore_vectors queries) {
    uint64_t ids[K];
    float distances[K];
    queries.rows = 1;
#define WHERE(index, filter) nearshore_search_where(index, &queries, K, filter, NULL, ids, distances, NULL, NULL, &error)
    FAILS(NEARSHORE_ARGUMENT, "index is null", WHERE(NULL, "price < 3"));
    FAILS(NEARSHORE_ARGUMENT, "filter: at character 8: ", WHERE(opened, "price <"));
    FAILS(NEARSHORE_ARGUMENT, "filter: at character 15: no column prize; there are: price, brand", WHERE(opened, "price < 3 and prize = 1"));
    FAILS(NEARSHORE_ARGUMENT, "filter: at character 1: column price is", WHERE(opened, "price = 'x'"));
    FAILS(NEARSHORE_ARGUMENT, "filter: at character 1: ", WHERE(opened, ""));
    FAILS(NEARSHORE_ARGUMENT, "filter: byte 9 is not UTF-8", WHERE(opened, "brand = '\xff'"));
}

int main(int count, char **arguments) {
    CHECK(count > 4);
    const size_t dimensions = strtoul(arguments[3], NULL, 10);
    float numbers[1024];
    FILE *file = fopen(arguments[2], "rb");
    CHECK(file);
    const size_t rows = fread(numbers, dimensions * sizeof *numbers, 1024 / dimensions, file);
    CHECK(rows > 0);
    fclose(file);
    const nearshore_vectors queries = {numbers, rows, dimensions, NEARSHORE_F32};
    OK(nearshore_open(arguments[1], NEARSHORE_AUTO, &opened, &error));
    refuses(queries);

    uint64_t *ids = (uint64_t *)malloc(rows * K * sizeof *ids), *all = (uint64_t *)malloc(rows * K * sizeof *all);
    float *distances = (float *)malloc(rows * K * sizeof *distances);
    size_t *counts = (size_t *)malloc(rows * sizeof *counts);
    nearshore_counters *counters = (nearshore_counters *)malloc(rows * sizeof *counters);
    CHECK(ids && all && distances && counts && counters);
    nearshore_search_options options = ALL_ZERO;
    options.ef = 40;
    for (int filter = 4; filter < count; filter++) {
        options.threads = (uint32_t)filter % 3;
        OK(nearshore_search_where(opened, &queries, K, arguments[filter], &options, ids, distances, counts, counters, &error));
        for (size_t query = 0; query < rows; query++) {
            printf("%llu %llu", (unsigned long long)counters[query].distances, (unsigned long long)counters[query].hops);
            for (size_t hit = query * K; hit < query * K + counts[query]; hit++) {
                uint32_t bits;
                memcpy(&bits, distances + hit, sizeof bits);
                printf(" %llu:%08x", (unsigned long long)ids[hit], (unsigned)bits);
            }
            printf("\n");
            for (size_t left = counts[query]; left < K; left++) CHECK(ids[query * K + left] == UINT64_MAX);
        }
    }
    /* No filter is no condition. */
    OK(nearshore_search(opened, &queries, K, &options, all, distances, NULL, NULL, &error));
    OK(nearshore_search_where(opened, &queries, K, NULL, &options, ids, distances, NULL, NULL, &error));
    CHECK(memcmp(ids, all, rows * K * sizeof *ids) == 0);
    nearshore_close(opened);
    free(ids);
    free(all);
    free(distances);
    free(counts);
    free(counters);
    return 0;
}
