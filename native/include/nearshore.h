/*
 * nearshore: a vector index in one file. The C interface.
 *
 *   nearshore_build    vectors in memory -> a .shore file
 *   nearshore_open     a .shore file -> an index
 *   nearshore_search   queries -> the ids and distances of the nearest rows
 *   nearshore_search_where   the same among the rows that meet a condition
 *   nearshore_info     rows, dimensions, metric
 *   nearshore_close    gives the index back
 *
 * Link with -lnearshore_c. docs/c.md has a program of twenty lines.
 *
 * Errors.    A function that can fail returns NEARSHORE_OK (0) or another nearshore_status, and writes one line of text about
 *            it to the caller's nearshore_error: there is no error state in the library or in a thread. What a failed call
 *            should have written otherwise is unspecified, but for nearshore_open, which sets *index to NULL. No call ends
 *            the process or unwinds into the caller. A null pointer is an error where it is not said to be allowed.
 * Ownership. All memory that is passed in stays the caller's, is read or written only during the call, and must not
 *            overlap memory that the call writes. Only nearshore_open hands something out: nearshore_close takes it back.
 * Threads.   Every function may be called from any thread at any time. One index may be searched by any number of threads at
 *            once; it must be closed once, when no other call uses it.
 * Numbers.   Answers and files depend on what is asked alone, not on the machine, the number of threads or the caller's
 *            floating-point modes: calls set the default modes (round to nearest, subnormals kept, no traps) and put the
 *            caller's back. Elements must be finite.
 * Files.     A file must not be shortened while an index on it is open.
 * Growth.    Structures of options grow into their reserved fields, which must be zero. All zero is always the default: start
 *            from `= {0}`.
 */
#ifndef NEARSHORE_H
#define NEARSHORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. */
typedef int32_t nearshore_status;
enum {
    NEARSHORE_OK = 0,
    NEARSHORE_ARGUMENT = 1,    /* an argument that cannot be: null, misaligned, out of range, not finite, of the wrong length */
    NEARSHORE_IO = 2,          /* the system refused: no such file, no permission, a full disk, no more threads */
    NEARSHORE_DAMAGED = 3,     /* the file is no index, of another version, or damaged */
    NEARSHORE_UNSUPPORTED = 4, /* the file cannot be searched this way */
    NEARSHORE_INTERNAL = 5     /* a bug in nearshore; please report the text */
};

/* How far apart two vectors are. Smaller is nearer, always. */
typedef int32_t nearshore_metric;
enum {
    NEARSHORE_L2 = 0,            /* the square of the Euclidean distance */
    NEARSHORE_INNER_PRODUCT = 1, /* 1 - dot product */
    NEARSHORE_COSINE = 2         /* 1 - cosine of the angle; a zero vector has none and is an error */
};

/* The type of an element. */
typedef int32_t nearshore_element;
enum {
    NEARSHORE_F32 = 0, /* float */
    NEARSHORE_U8 = 2,  /* uint8_t */
    NEARSHORE_I8 = 3   /* int8_t */
};

/* How a file comes into memory: it changes what a search costs, never what it answers. */
typedef int32_t nearshore_driver;
enum {
    NEARSHORE_AUTO = 0,  /* mapped */
    NEARSHORE_SLICE = 1, /* what searches walk through is read when the file is opened: the fastest to search */
    NEARSHORE_MMAP = 2   /* mapped: opening is instant, and only what searches touch is brought in */
};

/* What guides the walks of a file, where it is not the records: codes, by which walks touch fewer bytes a row; records rank
   what they find. */
typedef int32_t nearshore_codes;
enum {
    NEARSHORE_CODES_NONE = 0, /* the records */
    NEARSHORE_CODES_U4 = 1,   /* four bits a dimension: the best guide in memory */
    NEARSHORE_CODES_RABITQ1 = 2,
    NEARSHORE_CODES_RABITQ2 = 3,
    NEARSHORE_CODES_RABITQ4 = 4, /* one, two, four bits a dimension of the rotated row */
    NEARSHORE_CODES_PQ32 = 5,
    NEARSHORE_CODES_PQ64 = 6,
    NEARSHORE_CODES_PQ128 = 7 /* 32, 64, 128 bytes a row */
};

/* What a walk reads of a node's neighbours. Each layout finds hits of its own at one effort. */
typedef int32_t nearshore_layout;
enum {
    NEARSHORE_LEAN = 0, /* their own rows: the smallest memory */
    NEARSHORE_FAST = 1  /* codes beside the node, all of them at once, in several times the memory. A build: writes them as well */
};

/* What went wrong: one line of UTF-8, cut to fit, ended by a zero. Empty after a call that succeeded. */
typedef struct nearshore_error {
    char message[512];
} nearshore_error;

/* A matrix: `rows` vectors of `dimensions` elements, row after row without gaps, aligned as its element type is.
   `data` may be null when there are no rows. 1 to 32768 dimensions. */
typedef struct nearshore_vectors {
    const void *data;
    size_t rows;
    size_t dimensions;
    nearshore_element element;
} nearshore_vectors;

/* How to build; null stands for all zero. */
typedef struct nearshore_build_options {
    nearshore_metric metric;
    uint32_t m;               /* neighbours of a row in the graph, 2 to 512; 0: 16 */
    uint32_t ef_construction; /* effort of the build, 1 to 100000; 0: 200 */
    uint32_t threads;         /* at most 1024; 0: one for each core that the process may use */
    uint32_t replace;         /* 1: a file of this name is replaced; 0: it is an error */
    nearshore_codes codes;    /* 0: records guide walks */
    nearshore_layout layout;  /* what walks of the file may read, beside the lean layout */
    uint32_t reserved[1];
} nearshore_build_options;

/* How to search; null stands for all zero. Say `ef` or `recall`, not both. */
typedef struct nearshore_search_options {
    uint32_t ef;      /* rows that the walk keeps in view; higher is better and slower. 0: as `recall` says */
    float recall;     /* the cheapest effort that was measured to reach this recall, at most 1; 0: 0.95 */
    uint32_t threads; /* for several queries; at most 1024; 0: one for each core that the process may use */
    nearshore_layout layout; /* NEARSHORE_FAST: of a file built with it, else NEARSHORE_UNSUPPORTED; searches with a filter stay lean */
    uint32_t reserved[4];
} nearshore_search_options;

/* What the answer of one query cost. */
typedef struct nearshore_counters {
    uint64_t distances; /* distances computed */
    uint64_t hops;      /* rows whose neighbours were visited */
} nearshore_counters;

/* What an index holds. */
typedef struct nearshore_description {
    uint64_t rows;
    size_t dimensions;
    nearshore_metric metric;
    nearshore_element element; /* of the vectors that it was built from; 1: half precision, from other builders */
} nearshore_description;

/* An open file. */
typedef struct nearshore_index nearshore_index;

/* The version of the library, "major.minor.patch"; never null, never freed. */
const char *nearshore_version(void);

/*
 * Builds an index of `vectors` and writes it to `path`, where it appears complete or not at all. The same vectors, ids and
 * options give the same bytes for any number of threads.
 *
 * path     UTF-8, or on Unix whatever bytes the system takes.
 * ids      vectors->rows ids, each once; null: 0, 1, 2, ...
 * options  may be null.
 * error    may be null.
 */
nearshore_status nearshore_build(const char *path, const nearshore_vectors *vectors, const uint64_t *ids,
                                 const nearshore_build_options *options, nearshore_error *error);

/*
 * Opens the file at `path`. Sets *index, to null when it fails.
 *
 * error    may be null.
 */
nearshore_status nearshore_open(const char *path, nearshore_driver driver, nearshore_index **index, nearshore_error *error);

/*
 * Finds the `k` nearest rows of each query, one query or many. The answer of query q begins at place q * k of `ids` and
 * `distances`, nearest first, ties by the smaller id. An index of fewer than k rows leaves places over: their distance is
 * infinite, their id UINT64_MAX.
 *
 * queries    of any element type, of the index's dimensions.
 * k          at least 1.
 * options    may be null.
 * ids        room for queries->rows * k ids.
 * distances  room for queries->rows * k distances, in the units of the metric.
 * counts     room for queries->rows numbers of hits; may be null.
 * counters   room for queries->rows; may be null.
 * error      may be null.
 */
nearshore_status nearshore_search(const nearshore_index *index, const nearshore_vectors *queries, size_t k,
                                  const nearshore_search_options *options, uint64_t *ids, float *distances, size_t *counts,
                                  nearshore_counters *counters, nearshore_error *error);

/*
 * As nearshore_search, among the rows that a filter selects: the nearest of those, k of them or all there are.
 *
 * filter   a condition on columns of the file in UTF-8, such as "price < 20 and brand in (\"a\", \"b\")": docs/filters.md has
 *          the language. Null: all rows, as nearshore_search. A condition that does not parse or does not fit the columns
 *          is NEARSHORE_ARGUMENT, and the text names the character where: "filter: at character 1: no column prize; there
 *          are: price, brand". What the last 16 different filters selected is kept with the index: to ask again costs
 *          nothing more.
 */
nearshore_status nearshore_search_where(const nearshore_index *index, const nearshore_vectors *queries, size_t k, const char *filter,
                                        const nearshore_search_options *options, uint64_t *ids, float *distances, size_t *counts,
                                        nearshore_counters *counters, nearshore_error *error);

/*
 * Describes an index.
 *
 * error    may be null.
 */
nearshore_status nearshore_info(const nearshore_index *index, nearshore_description *description, nearshore_error *error);

/* Closes an index. Null is allowed and does nothing. */
void nearshore_close(nearshore_index *index);

#ifdef __cplusplus
}
#endif

#endif
