/* The dtype table against the format's own ids and sizes, and the element-wise codecs. */
#include "tensor/dtype.h"

#include "../check.h"
#include "base/half.h"

static const struct {
    const char *name;
    uint32_t id, block, bytes;
} table[] = {{"F32", 0, 1, 4},  {"F16", 1, 1, 2},  {"Q8_0", 8, 32, 34}, {"Q4_0", 2, 32, 18},
             {"I8", 24, 1, 1},  {"I16", 25, 1, 2}, {"I32", 26, 1, 4},
             {"I64", 27, 1, 8}, {"F64", 28, 1, 8}, {"BF16", 30, 1, 2}};

WF_TEST(ids_and_sizes) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        wf_dtype type;
        CHECK(wf_dtype_from_gguf(table[i].id, &type), "%s", table[i].name);
        const wf_dtype_info *info = wf_dtype_get(type);
        CHECK(strcmp(info->name, table[i].name) == 0 && info->gguf_id == table[i].id);
        CHECK(info->block == table[i].block && info->bytes == table[i].bytes);
        CHECK(wf_dtype_row_bytes(type, 64) == 64 / table[i].block * table[i].bytes);
        bool integers = table[i].name[0] == 'I' && strcmp(table[i].name, "I8") != 0; /* I8 decodes to its integers */
        CHECK((info->decode == NULL) == integers, "integers have no codec: %s",
              table[i].name);
        CHECK(strcmp(wf_gguf_type_name(table[i].id), table[i].name) == 0);
    }
}

WF_TEST(dead_and_unknown_ids) {
    static const uint32_t dead[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 1000, UINT32_MAX};
    wf_dtype type;
    for (size_t i = 0; i < sizeof dead / sizeof dead[0]; i++) {
        CHECK(!wf_dtype_from_gguf(dead[i], &type) && wf_gguf_type_name(dead[i]) == NULL, "%u",
              dead[i]);
    }
    static const struct {
        uint32_t id;
        const char *name;
    } named[] = {{3, "Q4_1"},     {6, "Q5_0"},    {7, "Q5_1"},     {9, "Q8_1"},
                 {10, "Q2_K"},   {11, "Q3_K"},    {12, "Q4_K"},   {13, "Q5_K"},    {14, "Q6_K"},
                 {15, "Q8_K"},   {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
                 {20, "IQ4_NL"}, {21, "IQ3_S"},   {22, "IQ2_S"},  {23, "IQ4_XS"},  {29, "IQ1_M"},
                 {34, "TQ1_0"},  {35, "TQ2_0"},   {39, "MXFP4"},  {40, "NVFP4"},   {41, "Q1_0"},
                 {42, "Q2_0"}};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        CHECK(strcmp(wf_gguf_type_name(named[i].id), named[i].name) == 0, "%s", named[i].name);
        CHECK(!wf_dtype_from_gguf(named[i].id, &type), "%s has come: move it to the table above",
              named[i].name);
    }
}

WF_TEST(element_codecs) {
    static const float w[] = {0,     -0.0f, 1,      -2.5f,      65504,    65520,
                              1e-8f, 3e38f, 1e-40f, 1.0009765f, INFINITY, -INFINITY};
    enum { N = sizeof w / sizeof w[0] };
    uint8_t bytes[N * 8];
    float back[N];
    wf_dtype_get(WF_F32)->encode(w, bytes, N);
    wf_dtype_get(WF_F32)->decode(bytes, back, N);
    CHECK(memcmp(back, w, sizeof w) == 0);
    wf_dtype_get(WF_F16)->encode(w, bytes, N);
    wf_dtype_get(WF_F16)->decode(bytes, back, N);
    for (int i = 0; i < N; i++) {
        float want = wf_f16_to_f32(wf_f32_to_f16(w[i]));
        CHECK(memcmp(&back[i], &want, 4) == 0, "F16 of %g is %g", (double)w[i], (double)back[i]);
    }
    CHECK(back[5] == INFINITY && back[4] == 65504);
    wf_dtype_get(WF_BF16)->encode(w, bytes, N);
    wf_dtype_get(WF_BF16)->decode(bytes, back, N);
    for (int i = 0; i < N; i++) {
        float want = wf_bf16_to_f32(wf_f32_to_bf16(w[i]));
        CHECK(memcmp(&back[i], &want, 4) == 0, "BF16 of %g is %g", (double)w[i], (double)back[i]);
    }
    double d[3] = {0.1, -1e300, 5};
    wf_dtype_get(WF_F64)->decode(d, back, 3);
    CHECK(back[0] == 0.1f && back[1] == -INFINITY && back[2] == 5);
}

int main(void) {
    RUN(ids_and_sizes);
    RUN(dead_and_unknown_ids);
    RUN(element_codecs);
    return wf_test_done();
}
