// SPDX-License-Identifier: GPL-2.0-or-later
#include "CTOML.h"

#include <cstring>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string_view>

namespace {

// toml++ 3.3 asserts that the name in a header starts like a key, although it reports that error itself right after.
constexpr bool is_told_later(std::string_view condition) {
    return condition == "is_bare_key_character(*cp) || is_string_delimiter(*cp)";
}

void check(bool holds, const char *condition) {
    if (!holds && !is_told_later(condition)) throw std::logic_error("the parser has given up");
}

} // namespace

// The assertions of toml++ are checked in optimised builds too, and throw instead of ending the process.
#undef NDEBUG
#define TOML_ASSERT(condition) check(static_cast<bool>(condition), #condition)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace {

struct Listener {
    void (*take)(void *context, const ctoml_item *item);
    void *context;
};

ctoml_position position(const toml::source_region &region) { return {region.begin.line, region.begin.column}; }

// A time without an offset is in UTC, so that it means the same on all hosts.
int64_t seconds(const toml::date &date, const toml::time *time, int offset_minutes) {
    struct tm fields = {};
    fields.tm_year = date.year - 1900;
    fields.tm_mon = date.month - 1;
    fields.tm_mday = date.day;
    if (time) {
        fields.tm_hour = time->hour;
        fields.tm_min = time->minute;
        fields.tm_sec = time->second;
    }
    return static_cast<int64_t>(timegm(&fields)) - 60 * static_cast<int64_t>(offset_minutes);
}

void walk(const toml::node &node, const toml::key *key, const Listener &listener) {
    ctoml_item item = {};
    if (key) {
        item.key = key->data();
        item.key_length = key->length();
        item.key_position = position(key->source());
    }
    item.position = position(node.source());
    ctoml_item end = {};
    end.kind = CTOML_END;

    if (const auto *table = node.as_table()) {
        item.kind = CTOML_TABLE;
        listener.take(listener.context, &item);
        for (const auto &[name, value] : *table) walk(value, &name, listener);
        listener.take(listener.context, &end);
        return;
    }
    if (const auto *array = node.as_array()) {
        item.kind = CTOML_ARRAY;
        listener.take(listener.context, &item);
        for (const auto &value : *array) walk(value, nullptr, listener);
        listener.take(listener.context, &end);
        return;
    }
    if (const auto *string = node.as_string()) {
        item.kind = CTOML_STRING;
        item.string = string->get().data();
        item.string_length = string->get().size();
    } else if (const auto *integer = node.as_integer()) {
        item.kind = CTOML_INTEGER;
        item.integer = integer->get();
    } else if (const auto *boolean = node.as_boolean()) {
        item.kind = CTOML_BOOLEAN;
        item.integer = boolean->get();
    } else if (const auto *date = node.as_date()) {
        item.kind = CTOML_TIME;
        item.integer = seconds(date->get(), nullptr, 0);
    } else if (const auto *moment = node.as_date_time()) {
        item.kind = CTOML_TIME;
        const auto &value = moment->get();
        item.integer = seconds(value.date, &value.time, value.offset ? value.offset->minutes : 0);
    } else if (node.is_time()) {
        item.kind = CTOML_TIME_OF_DAY;
    } else {
        item.kind = CTOML_FLOAT;
    }
    listener.take(listener.context, &item);
}

void fill(ctoml_error *error, std::string_view text, ctoml_position position) {
    const size_t length = text.size() < sizeof error->text - 1 ? text.size() : sizeof error->text - 1;
    std::memcpy(error->text, text.data(), length);
    error->text[length] = 0;
    error->position = position;
}

} // namespace

int ctoml_parse(const char *text, size_t length, void (*take)(void *context, const struct ctoml_item *item),
                void *context, struct ctoml_error *error) {
    try {
        const toml::table table = toml::parse(std::string_view(text, length));
        walk(table, nullptr, Listener{take, context});
        return 0;
    } catch (const toml::parse_error &failure) {
        fill(error, failure.description(), position(failure.source()));
    } catch (const std::exception &failure) {
        fill(error, failure.what(), {0, 0});
    }
    return -1;
}
