/* Errors as values: the first one wins, text from files is made harmless, long text is cut, every
 * code has its class. */
#include "base/status.h"

#include "../check.h"

WF_TEST(the_first_error_wins) {
    wf_error err;
    wf_error_clear(&err);
    CHECK(err.code == WF_OK && err.offset == -1 && err.text[0] == '\0');
    CHECK(wf_fail(&err, WF_E_FORMAT, "header", 24, "bad %s", "thing") == WF_E_FORMAT);
    CHECK(wf_fail(&err, WF_E_IO, "disk", 1, "later") == WF_E_IO);
    CHECK(err.code == WF_E_FORMAT && err.offset == 24 && strcmp(err.where, "header") == 0 &&
          strcmp(err.text, "bad thing") == 0);
    CHECK(wf_fail(NULL, WF_E_MEMORY, NULL, 0, "nobody listens") == WF_E_MEMORY);
}

WF_TEST(control_characters_are_escaped) {
    wf_error err;
    wf_error_clear(&err);
    wf_fail(&err, WF_E_FORMAT, "a\x1b[2Jb", -1, "tensor \"\x1b]0;owned\x07\n\x7f é\" is bad");
    CHECK(strcmp(err.where, "a\\x1b[2Jb") == 0, "%s", err.where);
    CHECK(strcmp(err.text, "tensor \"\\x1b]0;owned\\x07\\x0a\\x7f é\" is bad") == 0, "%s",
          err.text);
}

WF_TEST(long_texts_are_cut_inside_the_buffers) {
    char longest[2000];
    wf_error err;
    memset(longest, 1, sizeof longest - 1); /* each becomes four characters */
    longest[sizeof longest - 1] = '\0';
    wf_error_clear(&err);
    wf_fail(&err, WF_E_FORMAT, longest, -1, "%s", longest);
    CHECK(strlen(err.where) < sizeof err.where && strlen(err.text) < sizeof err.text &&
          strlen(err.text) > 400);
}

WF_TEST(every_code_has_a_class) {
    CHECK(strcmp(wf_status_name(WF_OK), "ok") == 0);
    for (int a = 1; a < WF_STATUS_COUNT; a++) {
        const char *name = wf_status_name((wf_status)a);
        CHECK(strncmp(name, "Wf", 2) == 0 && strlen(name) > 7 &&
                  strcmp(name + strlen(name) - 5, "Error") == 0,
              "%s", name);
        for (int b = 1; b < a; b++) {
            CHECK(strcmp(name, wf_status_name((wf_status)b)) != 0, "%s twice", name);
        }
    }
}

static wf_status inner(int fails) {
    return fails ? wf_fail(NULL, WF_E_STATE, "", -1, "no") : WF_OK;
}
static wf_status outer(int fails, int *reached) {
    WF_TRY(inner(fails));
    *reached = 1;
    return WF_OK;
}

WF_TEST(try_returns_early) {
    int reached = 0;
    CHECK(outer(1, &reached) == WF_E_STATE && reached == 0 && outer(0, &reached) == WF_OK &&
          reached == 1);
}

int main(void) {
    RUN(the_first_error_wins);
    RUN(control_characters_are_escaped);
    RUN(long_texts_are_cut_inside_the_buffers);
    RUN(every_code_has_a_class);
    RUN(try_returns_early);
    return wf_test_done();
}
