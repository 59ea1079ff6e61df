/* The JSON reader: values, every kind of error with its exact sentence, and a text cut off at every
 * byte. */
#include "base/alloc.h"
#include "memory.h"

#include "format/json.h"

static wf_arena arena;

static wf_json *parse(const char *text, wf_error *err) {
    wf_json *v;
    size_t n = strlen(text);
    char *exact = malloc(n + 1); /* no NUL behind it: the reader must not look for one */
    memcpy(exact, text, n);
    char *tight = malloc(n != 0 ? n : 1);
    memcpy(tight, exact, n);
    free(exact);
    wf_error_clear(err);
    wf_status s = wf_json_parse(&arena, tight, n, "test.json", &v, err);
    CHECK((s == WF_OK) == (v != NULL) && s == err->code);
    free(tight);
    return v;
}

WF_TEST(values) {
    wf_error err;
    unsigned long long u;
    const wf_json *v = parse(" { \"a\" : [ 1 , -2.5e-3 , true , false , null ] , \"b\" : { \"c\" : "
                             "\"x\" } , \"\" : {} } ",
                             &err);
    CHECK(v != NULL && v->kind == WF_JSON_OBJECT && v->count == 3, "%s", err.text);
    const wf_json *a = wf_json_get(v, "a");
    CHECK(a != NULL && a->kind == WF_JSON_ARRAY && a->count == 5 && strcmp(a->key, "a") == 0);
    CHECK(wf_json_at(a, 0)->number == 1 && wf_json_at(a, 1)->number == -2.5e-3);
    CHECK(wf_json_at(a, 2)->boolean && !wf_json_at(a, 3)->boolean &&
          wf_json_at(a, 4)->kind == WF_JSON_NULL);
    CHECK(wf_json_at(a, 5) == NULL && wf_json_at(NULL, 0) == NULL &&
          wf_json_get(NULL, "a") == NULL && wf_json_get(a, "a") == NULL);
    CHECK(strcmp(wf_json_get(wf_json_get(v, "b"), "c")->string, "x") == 0 &&
          wf_json_get(v, "nope") == NULL);
    CHECK(wf_json_get(v, "")->kind == WF_JSON_OBJECT && wf_json_get(v, "")->count == 0);
    CHECK(wf_json_to_u64(wf_json_at(a, 0), &u) && u == 1);
    CHECK(!wf_json_to_u64(wf_json_at(a, 1), &u) && !wf_json_to_u64(wf_json_at(a, 2), &u) &&
          !wf_json_to_u64(NULL, &u));
    v = parse("9007199254740992", &err);
    CHECK(wf_json_to_u64(v, &u) && u == 9007199254740992ull);
    v = parse("9007199254740994", &err);
    CHECK(!wf_json_to_u64(v, &u), "above 2^53");
}

WF_TEST(numbers_are_correctly_rounded) {
    static const struct {
        const char *text;
        double value;
    } rows[] = {{"0", 0},
                {"-0", -0.0},
                {"0.1", 0.1},
                {"1e0", 1},
                {"1E+2", 100},
                {"4.9e-324", 4.9e-324},
                {"1.7976931348623157e308", 1.7976931348623157e308},
                {"123456789012345680000", 123456789012345680000.0},
                {"2.2250738585072011e-308", 2.2250738585072011e-308},
                {"1e-999", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wf_error err;
        const wf_json *v = parse(rows[i].text, &err);
        CHECK(v != NULL && v->kind == WF_JSON_NUMBER && memcmp(&v->number, &rows[i].value, 8) == 0,
              "%s", rows[i].text);
    }
}

WF_TEST(strings_are_decoded) {
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"\"\"", ""},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"na\xc3\xafve \xf0\x9f\x98\x80 \xe2\x80\xa8\"",
         "na\xc3\xafve \xf0\x9f\x98\x80 \xe2\x80\xa8"},
        {"\xef\xbb\xbf\"after a byte order mark\"", "after a byte order mark"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wf_error err;
        const wf_json *v = parse(rows[i].text, &err);
        CHECK(v != NULL && v->kind == WF_JSON_STRING && strcmp(v->string, rows[i].value) == 0,
              "%s: %s", rows[i].text, err.text);
        CHECK(v != NULL && v->length == strlen(rows[i].value));
    }
}

static void refused(const char *text, const char *sentence) {
    wf_error err;
    wf_test_begin();
    CHECK(parse(text, &err) == NULL && err.code == WF_E_FORMAT);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    char name[64]; /* printable, so that the case is one line of text */
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < sizeof name; n++) {
        name[n] = text[n] >= ' ' && text[n] < 127 ? text[n] : '?';
    }
    name[n] = '\0';
    wf_test_end("refuses %s", name);
}

#define AT(line, column, problem) "test.json, line " #line ", column " #column ": " problem

static void errors(void) {
    refused("", AT(1, 1, "the text ends where a value is expected: it is empty or was cut off"));
    refused("[1,", AT(1, 4, "the text ends where a value is expected: it is empty or was cut off"));
    refused("[1,]",
            AT(1, 4,
               "a value is expected here: an object, array, string, number, true, false or null"));
    refused("[1 2]", AT(1, 4, "a comma or ] is expected here"));
    refused("{\"a\":1 \"b\":2}", AT(1, 8, "a comma or } is expected here"));
    refused("{\"a\":1,}", AT(1, 8, "a key in double quotes is expected here"));
    refused("{a:1}", AT(1, 2, "a key in double quotes is expected here"));
    refused("{\"a\" 1}", AT(1, 6, "a colon is expected behind the key"));
    refused("{}\n  x", AT(2, 3, "there is more text behind the end of the value"));
    refused("nul",
            AT(1, 1,
               "a value is expected here: an object, array, string, number, true, false or null"));
    refused("NaN",
            AT(1, 1,
               "a value is expected here: an object, array, string, number, true, false or null"));
    refused("'a'",
            AT(1, 1,
               "a value is expected here: an object, array, string, number, true, false or null"));
    refused("-", AT(1, 2, "a number without digits or with a leading zero"));
    refused("01", AT(1, 3, "a number without digits or with a leading zero"));
    refused("1.", AT(1, 3, "digits are missing behind the decimal point"));
    refused("1e", AT(1, 3, "digits are missing in the exponent"));
    refused("1e999", AT(1, 6, "a number too large for a double"));
    refused("\"abc", AT(1, 2, "a string that never ends; a closing \" is missing"));
    refused("\"abc\\", AT(1, 2, "a string that never ends; a closing \" is missing"));
    refused("\"\\x\"", AT(1, 4,
                          "an unknown escape in a string; legal are \\\" \\\\ \\/ \\b \\f \\n \\r "
                          "\\t and \\uXXXX"));
    refused("\"\\u12g4\"", AT(1, 6, "\\u needs four hexadecimal digits"));
    refused("\"\\u0000\"", AT(1, 8, "\\u0000 in a string is not accepted; remove it"));
    refused("\"\\ud800\"", AT(1, 8,
                              "half of a surrogate pair in a string; a pair is \\uD800-\\uDBFF, "
                              "then \\uDC00-\\uDFFF"));
    refused("\"\\udc00\"", AT(1, 8,
                              "half of a surrogate pair in a string; a pair is \\uD800-\\uDBFF, "
                              "then \\uDC00-\\uDFFF"));
    refused("\"\\ud800\\u0041\"", AT(1, 14,
                                     "half of a surrogate pair in a string; a pair is "
                                     "\\uD800-\\uDBFF, then \\uDC00-\\uDFFF"));
    refused("\"a\nb\"", AT(1, 3, "a control character in a string; write it as \\u00XX"));
    refused("\"\xc0\xaf\"", AT(1, 2, "bytes that are not UTF-8; save the file as UTF-8"));
    refused("\"\xed\xa0\x80\"", AT(1, 2, "bytes that are not UTF-8; save the file as UTF-8"));
    refused("\"\xf4\x90\x80\x80\"", AT(1, 2, "bytes that are not UTF-8; save the file as UTF-8"));
    refused("\"\xe2\x82\"", AT(1, 2, "bytes that are not UTF-8; save the file as UTF-8"));
    refused("{\"x\":{\"a\":1,\"b\":2,\"a\":3}}",
            "test.json: the key \"a\" appears twice in one object; remove one of the two");
    refused("{\"\\u0061\":1,\"a\":3}",
            "test.json: the key \"a\" appears twice in one object; remove one of the two");
}

WF_TEST(nesting_is_limited) {
    char text[200];
    wf_error err;
    for (int depth = 60; depth < 70; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        CHECK((parse(text, &err) != NULL) == (depth <= 64), "depth %d", depth);
    }
    CHECK(strstr(err.text, "more than 64 levels of nesting") != NULL, "%s", err.text);
}

WF_TEST(a_number_of_absurd_length_is_refused) {
    char text[1000];
    wf_error err;
    memset(text, '1', sizeof text - 1);
    text[1] = '.';
    text[sizeof text - 1] = '\0';
    CHECK(parse(text, &err) == NULL);
    CHECK(strcmp(err.text,
                 "test.json, line 1, column 1000: a number of more than 400 characters") == 0,
          "%s", err.text);
}

WF_TEST(many_keys_are_checked_fast) {
    enum { KEYS = 100000 };
    wf_text t = {NULL, 0, 0, false};
    wf_error err;
    for (int i = 0; i < KEYS; i++) {
        wf_text_format(&t, "%s\"%d\":0", i == 0 ? "{" : ",", (i * 7919) % KEYS);
    }
    wf_text_add(&t, "}");
    const wf_json *v = parse(t.data, &err);
    CHECK(v != NULL && v->count == KEYS, "%s", err.text);
    t.length--;
    wf_text_add(&t, ",\"77777\":0}");
    CHECK(parse(t.data, &err) == NULL && strstr(err.text, "\"77777\" appears twice") != NULL, "%s",
          err.text);
    wf_text_free(&t);
}

WF_TEST(cut_off_at_every_byte_is_an_error) {
    static const char text[] = "{\"a\":[1.5e3,true,\"x\\u00e9\xc3\xa9\"],\"b\":{\"c\":null}}";
    wf_error err;
    char part[sizeof text];
    for (size_t n = 0; n + 1 < sizeof text; n++) {
        memcpy(part, text, n);
        part[n] = '\0';
        CHECK(parse(part, &err) == NULL && err.text[0] != '\0', "cut at %zu", n);
    }
}

WF_TEST(memory_that_runs_out_is_an_error) {
    wf_error err;
    wf_json *v;
    int failures = 0;
    for (uint64_t n = 1; n < 100; n++) {
        wf_arena own;
        wf_arena_init(&own);
        wf_error_clear(&err);
        wf_alloc_fail_after(n);
        wf_status s = wf_json_parse(&own, "{\"a\":1,\"b\":2}", 13, "test.json", &v, &err);
        wf_alloc_fail_after(0);
        wf_arena_free(&own);
        if (s == WF_OK) {
            break;
        }
        CHECK(s == WF_E_MEMORY, "%s", err.text);
        failures++;
    }
    CHECK(failures >= 3, "%d", failures);
}

int main(void) {
    wf_arena_init(&arena);
    RUN(values);
    RUN(numbers_are_correctly_rounded);
    RUN(strings_are_decoded);
    errors();
    RUN(nesting_is_limited);
    RUN(a_number_of_absurd_length_is_refused);
    RUN(many_keys_are_checked_fast);
    RUN(cut_off_at_every_byte_is_an_error);
    wf_arena_free(&arena);
    RUN(memory_that_runs_out_is_an_error);
    return wf_test_done();
}
