/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where something is in the text, both counted from 1; 0 if that is not known. */
struct ctoml_position {
    uint32_t line;
    uint32_t column;
};

/** What an item of a document is. */
enum ctoml_kind {
    CTOML_STRING,
    CTOML_INTEGER,
    CTOML_FLOAT,
    CTOML_BOOLEAN,
    /** A date, or a date and time: without an offset it is in UTC. */
    CTOML_TIME,
    /** A time without a date. */
    CTOML_TIME_OF_DAY,
    /** Is followed by its members, each with a key, and by CTOML_END. */
    CTOML_TABLE,
    /** Is followed by its members, without keys, and by CTOML_END. */
    CTOML_ARRAY,
    /** The end of the innermost table or array that is open. */
    CTOML_END,
};

/** One item. What it points to is valid only during the call that it is passed to. */
struct ctoml_item {
    enum ctoml_kind kind;
    /** The key and its length in bytes; NULL for members of an array, and for CTOML_END. UTF-8, and may hold zeros. */
    const char *key;
    size_t key_length;
    struct ctoml_position key_position;
    struct ctoml_position position;
    /** CTOML_STRING: UTF-8, and may hold zeros. */
    const char *string;
    size_t string_length;
    /** CTOML_INTEGER; CTOML_BOOLEAN: 0 or 1; CTOML_TIME: seconds since 1970, rounded down. */
    int64_t integer;
};

/** Why a text is no TOML document. */
struct ctoml_error {
    struct ctoml_position position;
    /** Ends with a zero; shortened if need be. */
    char text[256];
};

/**
 * Parses a TOML document (https://toml.io, version 1.0) by toml++, and hands over its items in the order of the tree:
 * the document itself is the first, a table without a key.
 *
 * Members of a table come in no order that means anything. Returns 0, or -1 and the error.
 */
int ctoml_parse(const char *text, size_t length, void (*take)(void *context, const struct ctoml_item *item),
                void *context, struct ctoml_error *error);

#ifdef __cplusplus
}
#endif
