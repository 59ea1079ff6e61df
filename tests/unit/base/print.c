/* Texts and numbers against the C library's own, on random bits and on the cases that are easy to get wrong. */
#include "base/print.h"

#include <stdlib.h>

#include "base/decimal.h"
#include "base/rng.h"
#include "check.h"

static double from_bits(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static uint64_t bits_of(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

#define SAME(...)                                                                                \
    do {                                                                                         \
        char ours[900], theirs[900];                                                             \
        int n = wf_print(ours, sizeof ours, __VA_ARGS__), m = snprintf(theirs, sizeof theirs, __VA_ARGS__); \
        CHECK(n == m && strcmp(ours, theirs) == 0, "\"%.60s\" (%d), not \"%.60s\" (%d)", ours, n, theirs, m); \
    } while (0)

WF_TEST(integers) {
    static const long long some[] = {0, 1, -1, 9, 10, -10, 255, 99999, 100000, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        long long v = some[i];
        SAME("%d %i|%u|%x", (int)v, (int)v, (unsigned)v, (unsigned)v);
        SAME("%lld %llu %llx", v, (unsigned long long)v, (unsigned long long)v);
        SAME("%ld %lu %zu", (long)v, (unsigned long)v, (size_t)v);
        SAME("%05d|%5d|%-7d|%02x|%04x|%08x|%*d", (int)v, (int)v, (int)v, (unsigned)v, (unsigned)v, (unsigned)v, 9, (int)v);
    }
}

WF_TEST(texts) {
    static const char unended[3] = {'a', 'b', 'c'};
    SAME("%s|%9s|%-9s|%.2s|%.80s|%%|%c", "wort", "wort", "wort", "wort", "wort", 'x');
    SAME("%.*s|%*s|%*s|%.0s", 3, "viele", 8, "rechts", -8, "links", "nichts");
    SAME("%.3s|%s", unended, "");
    SAME("ohne alles … ≤");
}

WF_TEST(lengths) { /* the whole length, whatever fits */
    char small[5] = "####";
    CHECK(wf_print(small, sizeof small, "%s", "abcdefg") == 7);
    CHECK(strcmp(small, "abcd") == 0, "%s", small);
    CHECK(wf_print(small, 1, "%d", 42) == 2);
    CHECK(small[0] == '\0');
    CHECK(wf_print(NULL, 0, "%s %g", "abc", 0.5) == 7);
}

WF_TEST(unknown) { /* nothing is taken for what it is not */
    char text[64];
    const char *volatile format = "a %d %q %d";
    CHECK(wf_print(text, sizeof text, format, 1, 2, 3) == 9);
    CHECK(strcmp(text, "a 1 %q %d") == 0, "%s", text);
}

static void all_forms(double v) {
    SAME("%g|%e|%.3g|%.0f|%.1f|%.17g", v, v, v, v, v, v);
    SAME("%.15g|%.16g|%.1g|%.2g|%.6g|%.0e|%.20e|%.40g", v, v, v, v, v, v, v, v);
    SAME("%f|%.3f|%9.2f|%-12.2f|%012.3f|%.*g", v, v, v, v, v, 5, v);
}

WF_TEST(reals) {
    static const double some[] = {0,    -0.0, 1,      -1,     0.5,    1.5,    2.5,    0.125, 0.05,       0.25,     0.35,   9.5,   99.5, 999999.5,
                                  1e5,  1e6,  999999, 123456, 1e-4,   1e-5,   9.99e-5, 0.1,   1.0 / 3,    2e22,     1e23,   5e-324, 4.5, 1e15,
                                  1e16, 1e17, 1e300,  1.7976931348623157e308, 2.2250738585072014e-308, 2.225073858507201e-308, 6.02e23, 0.3};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        all_forms(some[i]);
        all_forms(-some[i]);
    }
    SAME("%g %f %.3e %5g|%05g|%-6g|", HUGE_VAL, -HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL);
    CHECK(wf_print(NULL, 0, "%g", from_bits(UINT64_C(0x7ff8000000000000))) == 3);
}

WF_TEST(reals_of_random_bits) {
    wf_rng rng;
    wf_rng_seed(&rng, 7);
    for (int i = 0; i < 3000; i++) {
        double v = from_bits((uint64_t)wf_rng_u32(&rng) << 32 | wf_rng_u32(&rng));
        if (isfinite(v)) {
            all_forms(v);
        }
        all_forms((double)(int32_t)wf_rng_u32(&rng) / (double)(1u << (i % 31)));
        all_forms((double)(float)((int32_t)wf_rng_u32(&rng) * 1e-9));
    }
}

static void parses(const char *text) {
    char *end;
    size_t used;
    double theirs = strtod(text, &end), ours = wf_decimal_parse(text, strlen(text), &used);
    CHECK(bits_of(ours) == bits_of(theirs) && used == (size_t)(end - text), "%s is %.17g (%zu), not %.17g (%zu)", text, ours, used, theirs,
          (size_t)(end - text));
}

WF_TEST(numbers_that_are_read) {
    static const char *const some[] = {"0", "-0", "1", "-1", "00012", "1.", ".5", "-.5", "1e5", "1E+5", "1e-5x", "1e", "1e+", "2.5e3", "-", ".", "", "x", "1..2",
        "9007199254740993", "9007199254740992.9999999999999999", "9007199254740993.0000000000000000000000000001", "123456789012345678901234567890",
        "0.1", "0.30000000000000004", "1e22", "1e23", "8.5e22", "1.7976931348623157e308", "1.7976931348623158e308", "1.7976931348623159e308", "1e309",
        "1e999999999999", "1e-999999999999", "0e999999999999", "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2.47032822920623272e-324",
        "7.4109846876186981e-324", "2.2250738585072011e-308", "2.2250738585072014e-308", "1e-400", "0.000000000000000000000000000000000000000001e42",
        "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
        "2.47032822920623272088284396434110686182529901307162382212792841250337753635104375932649918180817996189898282347722858865463328355177969898199387398005390939063150356595155702263922908583924491051844359318028499365361525003193704576782492193656236698636584807570015857692699037063119282795585513329278343384093519780155312465972635795746227664652728272200563740064854999770965994704540208281662262378573934507363390079677305775067501763246736009689513405355374585166611342237666786041621596804619144672918403005300575308490487653917113865916462395249126236538818796362393732804238910186723484976682350898633885879256283027559956575244555072551893136908362547791869486679949683240497058210285131854513962138377228261454376934125320985913276672363281251e-324"};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        parses(some[i]);
    }
    CHECK(wf_decimal_parse("123456", 3, NULL) == 123); /* no byte beyond the end */
    CHECK(wf_decimal_parse("1e55", 3, NULL) == 1e5);
}

WF_TEST(every_double_comes_back) {
    wf_rng rng;
    wf_rng_seed(&rng, 11);
    char text[64];
    for (int i = 0; i < 6000; i++) {
        double v = from_bits((uint64_t)wf_rng_u32(&rng) << 32 | wf_rng_u32(&rng));
        if (i % 4 == 0) { /* near zero */
            v = from_bits(bits_of(v) >> (i % 61));
        }
        if (!isfinite(v)) {
            continue;
        }
        wf_print(text, sizeof text, "%.17g", v);
        CHECK(bits_of(wf_decimal_parse(text, strlen(text), NULL)) == bits_of(v), "%s", text);
        parses(text);
        snprintf(text, sizeof text, "%.*e", i % 21, v);
        parses(text);
    }
}

int main(void) {
    RUN(integers);
    RUN(texts);
    RUN(lengths);
    RUN(unknown);
    RUN(reals);
    RUN(reals_of_random_bits);
    RUN(numbers_that_are_read);
    RUN(every_double_comes_back);
    return wf_test_done();
}
