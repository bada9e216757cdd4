/* Everything that a call refuses: a status, words, and no harm. Usage: errors FILE-TO-WRITE */
#include "check.h"

static float not_a_number(void) {
    const uint32_t bits = 0x7FC00000;
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static nearshore_error error;
static nearshore_index *opened;

static void builds(const char *path) {
    float numbers[] = {0, 0, 3, 4, 6, 8, 9, 9};
    uint64_t ids[] = {7, 5, UINT64_MAX, 9};
    nearshore_vectors vectors = {numbers, 4, 2, NEARSHORE_F32};
    nearshore_build_options options = ALL_ZERO;
    options.threads = 2;

    FAILS(NEARSHORE_ARGUMENT, "path is null", nearshore_build(NULL, &vectors, ids, &options, &error));
    FAILS(NEARSHORE_ARGUMENT, "vectors is null", nearshore_build(path, NULL, ids, &options, &error));
    FAILS(NEARSHORE_IO, "no/such/folder", nearshore_build("no/such/folder/x.shore", &vectors, ids, &options, &error));
    CHECK(nearshore_build(NULL, NULL, NULL, NULL, NULL) == NEARSHORE_ARGUMENT);

    nearshore_vectors wrong = vectors;
    wrong.data = NULL;
    FAILS(NEARSHORE_ARGUMENT, "vectors: data is null", nearshore_build(path, &wrong, NULL, NULL, &error));
    wrong = vectors;
    wrong.element = 9;
    FAILS(NEARSHORE_ARGUMENT, "9 is no type of elements", nearshore_build(path, &wrong, NULL, NULL, &error));
    wrong = vectors;
    wrong.dimensions = 0;
    FAILS(NEARSHORE_ARGUMENT, "dimensions must be 1 to 32768", nearshore_build(path, &wrong, NULL, NULL, &error));
    wrong.dimensions = SIZE_MAX / 2;
    FAILS(NEARSHORE_ARGUMENT, "too large", nearshore_build(path, &wrong, NULL, NULL, &error));
    wrong.rows = 1;
    FAILS(NEARSHORE_ARGUMENT, "too large", nearshore_build(path, &wrong, NULL, NULL, &error));

    nearshore_build_options odd = options;
    odd.metric = -1;
    FAILS(NEARSHORE_ARGUMENT, "-1 is no metric", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.m = 1;
    FAILS(NEARSHORE_ARGUMENT, "m must be", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.ef_construction = UINT32_MAX;
    FAILS(NEARSHORE_ARGUMENT, "ef_construction must be", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.threads = UINT32_MAX;
    FAILS(NEARSHORE_ARGUMENT, "at most 1024", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.replace = 2;
    FAILS(NEARSHORE_ARGUMENT, "replace is 2", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.codes = 8;
    FAILS(NEARSHORE_ARGUMENT, "8 is no kind of codes", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.layout = 2;
    FAILS(NEARSHORE_ARGUMENT, "2 is no layout", nearshore_build(path, &vectors, NULL, &odd, &error));
    odd = options;
    odd.reserved[0] = 1;
    FAILS(NEARSHORE_ARGUMENT, "reserved", nearshore_build(path, &vectors, NULL, &odd, &error));

    numbers[3] = not_a_number();
    FAILS(NEARSHORE_ARGUMENT, "row 1, element 1", nearshore_build(path, &vectors, NULL, NULL, &error));
    numbers[3] = 4;
    odd = options;
    odd.metric = NEARSHORE_COSINE;
    FAILS(NEARSHORE_ARGUMENT, "row 0: a zero vector", nearshore_build(path, &vectors, NULL, &odd, &error));
    ids[3] = 5;
    FAILS(NEARSHORE_ARGUMENT, "id 5 is taken", nearshore_build(path, &vectors, ids, NULL, &error));
    ids[3] = 9;

    /* None of these left a file. */
    FAILS(NEARSHORE_IO, path, nearshore_open(path, NEARSHORE_AUTO, &opened, &error));
    OK(nearshore_build(path, &vectors, ids, NULL, &error));
    FAILS(NEARSHORE_IO, path, nearshore_build(path, &vectors, ids, &options, &error));
    options.replace = 1;
    OK(nearshore_build(path, &vectors, ids, &options, &error));
}

static void opens(const char *path, const char *not_an_index) {
    opened = (nearshore_index *)&error;
    FAILS(NEARSHORE_ARGUMENT, "path is null", nearshore_open(NULL, NEARSHORE_AUTO, &opened, &error));
    CHECK(opened == NULL);
    FAILS(NEARSHORE_ARGUMENT, "index is null", nearshore_open(path, NEARSHORE_AUTO, NULL, &error));
    FAILS(NEARSHORE_ARGUMENT, "7 is no driver", nearshore_open(path, 7, &opened, &error));
    FAILS(NEARSHORE_DAMAGED, "not a .shore file", nearshore_open(not_an_index, NEARSHORE_SLICE, &opened, &error));
    OK(nearshore_open(path, NEARSHORE_AUTO, &opened, &error));
    nearshore_close(NULL);

    nearshore_description description;
    FAILS(NEARSHORE_ARGUMENT, "index is null", nearshore_info(NULL, &description, &error));
    FAILS(NEARSHORE_ARGUMENT, "description is null", nearshore_info(opened, NULL, &error));
    OK(nearshore_info(opened, &description, &error));
    CHECK(description.rows == 4 && description.dimensions == 2);
    CHECK(description.metric == NEARSHORE_L2 && description.element == NEARSHORE_F32);
}

static void searches(void) {
    float numbers[] = {3, 4, 0, 1};
    nearshore_vectors queries = {numbers, 2, 2, NEARSHORE_F32};
    nearshore_search_options options = ALL_ZERO;
    uint64_t ids[12];
    float distances[12];
    size_t counts[2];
    nearshore_counters counters[2];

#define SEARCH(queries, k, options, ids, distances) \
    nearshore_search(opened, queries, k, options, ids, distances, counts, counters, &error)

    FAILS(NEARSHORE_ARGUMENT, "index is null", nearshore_search(NULL, &queries, 1, NULL, ids, distances, NULL, NULL, &error));
    FAILS(NEARSHORE_ARGUMENT, "queries is null", SEARCH(NULL, 1, NULL, ids, distances));
    FAILS(NEARSHORE_ARGUMENT, "k must be at least 1", SEARCH(&queries, 0, NULL, ids, distances));
    FAILS(NEARSHORE_ARGUMENT, "too large", SEARCH(&queries, SIZE_MAX, NULL, ids, distances));
    FAILS(NEARSHORE_ARGUMENT, "longer than memory", SEARCH(&queries, SIZE_MAX / 2, NULL, ids, distances));
    FAILS(NEARSHORE_ARGUMENT, "ids is null", SEARCH(&queries, 1, NULL, NULL, distances));
    FAILS(NEARSHORE_ARGUMENT, "distances is null", SEARCH(&queries, 1, NULL, ids, NULL));
    FAILS(NEARSHORE_ARGUMENT, "ids is not aligned", SEARCH(&queries, 1, NULL, (uint64_t *)((char *)ids + 1), distances));

    options.recall = 1.5f;
    FAILS(NEARSHORE_ARGUMENT, "recall must be", SEARCH(&queries, 1, &options, ids, distances));
    options.recall = not_a_number();
    FAILS(NEARSHORE_ARGUMENT, "recall must be", SEARCH(&queries, 1, &options, ids, distances));
    options.recall = 0.5f;
    options.ef = 10;
    FAILS(NEARSHORE_ARGUMENT, "both given", SEARCH(&queries, 1, &options, ids, distances));
    options.recall = 0;
    options.threads = 1025;
    FAILS(NEARSHORE_ARGUMENT, "at most 1024", SEARCH(&queries, 1, &options, ids, distances));
    options.threads = 1;
    options.reserved[0] = 1;
    FAILS(NEARSHORE_ARGUMENT, "reserved", SEARCH(&queries, 1, &options, ids, distances));
    options.reserved[0] = 0;
    options.layout = -1;
    FAILS(NEARSHORE_ARGUMENT, "-1 is no layout", SEARCH(&queries, 1, &options, ids, distances));
    options.layout = NEARSHORE_LEAN;

    nearshore_vectors wrong = queries;
    wrong.rows = 1;
    wrong.dimensions = 3;
    FAILS(NEARSHORE_ARGUMENT, "query 0: the query has 3 dimensions, the index has 2", SEARCH(&wrong, 1, NULL, ids, distances));
    wrong.dimensions = 0;
    FAILS(NEARSHORE_ARGUMENT, "has 0 dimensions", SEARCH(&wrong, 1, NULL, ids, distances));
    wrong = queries;
    wrong.data = NULL;
    FAILS(NEARSHORE_ARGUMENT, "queries: data is null", SEARCH(&wrong, 1, NULL, ids, distances));
    wrong.data = (const char *)numbers + 1;
    FAILS(NEARSHORE_ARGUMENT, "queries: data is not aligned", SEARCH(&wrong, 1, NULL, ids, distances));
    numbers[3] = not_a_number();
    FAILS(NEARSHORE_ARGUMENT, "query 1: element 1", SEARCH(&queries, 1, NULL, ids, distances));
    numbers[3] = 1;

    /* No queries are no work; more hits than rows leave places over. */
    wrong.rows = 0;
    wrong.data = NULL;
    OK(SEARCH(&wrong, 5, NULL, NULL, NULL));
    OK(nearshore_search(opened, &queries, 1, NULL, ids, distances, NULL, NULL, &error));
    CHECK(ids[0] == 5 && distances[0] == 0 && ids[1] == 7 && distances[1] == 1);
    OK(SEARCH(&queries, 6, &options, ids, distances));
    CHECK(counts[0] == 4 && counts[1] == 4 && counters[0].distances > 0);
    CHECK(ids[0] == 5 && ids[1] == 7 && distances[1] == 25 && ids[2] == UINT64_MAX && ids[3] == 9 && ids[6] == 7);
    CHECK(ids[4] == UINT64_MAX && distances[4] > 3e38f);

    /* Bytes are searched for as numbers. */
    const uint8_t bytes[] = {9, 9};
    const int8_t signed_bytes[] = {-1, 0};
    nearshore_vectors one = {bytes, 1, 2, NEARSHORE_U8};
    OK(SEARCH(&one, 1, NULL, ids, distances));
    CHECK(ids[0] == 9 && distances[0] == 0);
    one.data = signed_bytes;
    one.element = NEARSHORE_I8;
    OK(SEARCH(&one, 1, NULL, ids, distances));
    CHECK(ids[0] == 7 && distances[0] == 1);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    CHECK(strcmp(nearshore_version(), "0.0.0") > 0);
    builds(arguments[1]);
    opens(arguments[1], arguments[0]);
    searches();
    nearshore_close(opened);
    return 0;
}
