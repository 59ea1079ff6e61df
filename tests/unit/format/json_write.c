/* The JSON writer: numbers that read back as the same double and are no longer than needed, strings
   that are quoted, and memory that runs out. */
#include <stdlib.h>

#include "base/alloc.h"
#include "memory.h"

#include "format/json.h"

static const char *number(double v) {
    static char text[64];
    wf_text t = {NULL, 0, 0, false};
    wf_text_json_number(&t, v);
    snprintf(text, sizeof text, "%s", t.data);
    wf_text_free(&t);
    return text;
}

WF_TEST(numbers_are_short) {
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},           {-0.0, "-0"},
                {1, "1"},           {-17, "-17"},
                {0.1, "0.1"},       {1.0 / 3, "0.3333333333333333"},
                {1e15, "1e+15"},    {999999999999999, "999999999999999"},
                {1e300, "1e+300"},  {5e-324, "4.94065645841247e-324"},
                {2.5, "2.5"},       {(double)0.1f, "0.10000000149011612"},
                {NAN, "null"},      {INFINITY, "null"},
                {-INFINITY, "null"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK(strcmp(number(rows[i].value), rows[i].text) == 0, "%s, not %s", number(rows[i].value),
              rows[i].text);
    }
}

WF_TEST(numbers_read_back_as_themselves) {
    wf_test_seed(7);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = (uint64_t)wf_test_u32() << 32 | wf_test_u32();
        double v;
        memcpy(&v, &bits, sizeof v);
        if (isfinite(v)) {
            double back = strtod(number(v), NULL);
            CHECK(memcmp(&back, &v, sizeof v) == 0, "%.17g became %s", v, number(v));
        }
    }
}

WF_TEST(strings_are_quoted) {
    static const struct {
        const char *value, *text;
    } rows[] = {{"", "\"\""},
                {"plain", "\"plain\""},
                {"\"\\/\n\r\t\x01\x1f\x7f", "\"\\\"\\\\/\\n\\u000d\\u0009\\u0001\\u001f\\u007f\""},
                {"na\xc3\xafve", "\"na\xc3\xafve\""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wf_text t = {NULL, 0, 0, false};
        wf_text_json_string(&t, rows[i].value);
        CHECK(strcmp(t.data, rows[i].text) == 0 && t.length == strlen(rows[i].text), "%s", t.data);
        wf_text_free(&t);
    }
}

WF_TEST(text_grows) {
    wf_text t = {NULL, 0, 0, false};
    for (int i = 0; i < 10000; i++) {
        wf_text_format(&t, "%d,", i % 10);
    }
    CHECK(t.length == 20000 && strlen(t.data) == 20000 &&
          memcmp(t.data + 19990, "5,6,7,8,9,", 10) == 0 && !t.failed);
    wf_text_free(&t);
    CHECK(t.data == NULL && t.length == 0);
}

WF_TEST(memory_that_runs_out_is_remembered) {
    wf_text t = {NULL, 0, 0, false};
    wf_alloc_fail_after(1);
    wf_text_add(&t, "lost");
    wf_alloc_fail_after(0);
    wf_text_add(&t, "also lost");
    CHECK(t.failed && t.length == 0);
    wf_text_free(&t);
}

int main(void) {
    RUN(numbers_are_short);
    RUN(numbers_read_back_as_themselves);
    RUN(strings_are_quoted);
    RUN(text_grows);
    RUN(memory_that_runs_out_is_remembered);
    return wf_test_done();
}
