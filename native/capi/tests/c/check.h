/* What the C programs of these tests share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearshore.h"

/* An initializer that sets all to zero, without a warning in either language. */
#ifdef __cplusplus
#define ALL_ZERO {}
#else
#define ALL_ZERO {0}
#endif

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

/* The call succeeds. */
#define OK(call)                                                                                 \
    do {                                                                                         \
        nearshore_status status_ = (call);                                                       \
        if (status_ != NEARSHORE_OK) {                                                           \
            fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, (int)status_, error.message); \
            exit(1);                                                                             \
        }                                                                                        \
        CHECK(error.message[0] == '\0');                                                         \
    } while (0)

/* The call fails with this status, and words about it. */
#define FAILS(status, words, call)                                                           \
    do {                                                                                     \
        nearshore_status status_ = (call);                                                   \
        if (status_ != (status) || strstr(error.message, words) == NULL) {                   \
            fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, (int)status_, error.message); \
            exit(1);                                                                         \
        }                                                                                    \
    } while (0)

#endif
