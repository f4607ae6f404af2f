/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A position in the text, both counted from 1; 0 if unknown. */
struct ctoml_position {
    uint32_t line;
    uint32_t column;
};

/** The kind of an item. */
enum ctoml_kind {
    CTOML_STRING,
    CTOML_INTEGER,
    CTOML_FLOAT,
    CTOML_BOOLEAN,
    /** A date, or a date and time; without an offset, it is in UTC. */
    CTOML_TIME,
    /** A time without a date. */
    CTOML_TIME_OF_DAY,
    /** Followed by its members, each with a key, and by CTOML_END. */
    CTOML_TABLE,
    /** Followed by its members, without keys, and by CTOML_END. */
    CTOML_ARRAY,
    /** The end of the innermost open table or array. */
    CTOML_END,
};

/** An item. Its pointers are valid only during the call that receives it. */
struct ctoml_item {
    enum ctoml_kind kind;
    /** The key, in UTF-8, and its length in bytes; may contain zeros. NULL for array members and CTOML_END. */
    const char *key;
    size_t key_length;
    struct ctoml_position key_position;
    struct ctoml_position position;
    /** CTOML_STRING: the string, in UTF-8; may contain zeros. */
    const char *string;
    size_t string_length;
    /** CTOML_INTEGER: the value; CTOML_BOOLEAN: 0 or 1; CTOML_TIME: seconds since 1970 UTC, rounded down. */
    int64_t integer;
};

/** Why a text is not a TOML document. */
struct ctoml_error {
    struct ctoml_position position;
    /** Zero-terminated; truncated if too long. */
    char text[256];
};

/**
 * Parses a TOML document (https://toml.io, version 1.0) with toml++, and passes its items to `take` in tree order; the
 * first is the document itself, a table without a key.
 *
 * The order of the members of a table has no meaning. Returns 0; or -1 with the error stored.
 */
int ctoml_parse(const char *text, size_t length, void (*take)(void *context, const struct ctoml_item *item),
                void *context, struct ctoml_error *error);

#ifdef __cplusplus
}
#endif
