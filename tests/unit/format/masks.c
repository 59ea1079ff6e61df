/* Pruned weights (torch.nn.utils.prune): X_orig and X_mask are read as their product under the name X; what only looks like it is left
   alone, and a mask of another shape is refused. */
#include "memory.h"

static const float weights[12] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12}, mask[12] = {1, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1};

static blob file_of(const char *header) {
    blob b;
    memset(&b, 0, sizeof b);
    blob_string(&b, header);
    blob_put(&b, weights, sizeof weights);
    blob_put(&b, mask, sizeof mask);
    return b;
}

static wf_status open_file(blob *b, wf_source *s, wf_error *err) {
    memset(s, 0, sizeof *s);
    wf_error_clear(err);
    return wf_safetensors_open(blob_file(b), s, err);
}

WF_TEST(read_as_the_product) {
    blob b = file_of("{\"a.weight_mask\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[48,96]},"
                     "\"a.weight_orig\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]}}");
    wf_source s;
    wf_error err;
    CHECK_OK(open_file(&b, &s, &err), err);
    const wf_source_tensor *t = wf_source_find(&s, "a.weight");
    CHECK(s.tensor_count == 1 && t != NULL && t->elements == 12, "%u tensors", (unsigned)s.tensor_count);
    CHECK(s.prefix_note != NULL && strstr(s.prefix_note, "1 pruned weights") != NULL, "%s", s.prefix_note != NULL ? s.prefix_note : "");
    for (uint64_t first = 0; first < 12 && t != NULL; first += 5) {
        float f[5];
        double d[5];
        uint64_t n = first + 5 < 12 ? 5 : 12 - first;
        CHECK_OK(wf_source_read_f32(&s, t, first, n, f, &err), err);
        CHECK_OK(wf_source_read_f64(&s, t, first, n, d, &err), err);
        for (uint64_t i = 0; i < n; i++) {
            float want = weights[first + i] * mask[first + i];
            CHECK(f[i] == want && d[i] == (double)want, "element %u is %g", (unsigned)(first + i), (double)f[i]);
        }
    }
    wf_source_close(&s);
    blob_free(&b);
}

WF_TEST(names_that_only_look_like_it) {
    blob b = file_of("{\"a_mask\":{\"dtype\":\"F32\",\"shape\":[12],\"data_offsets\":[48,96]},"
                     "\"b_orig\":{\"dtype\":\"F32\",\"shape\":[12],\"data_offsets\":[0,48]}}");
    wf_source s;
    wf_error err;
    float f[12];
    CHECK_OK(open_file(&b, &s, &err), err);
    const wf_source_tensor *t = wf_source_find(&s, "b_orig");
    CHECK(s.tensor_count == 2 && t != NULL && wf_source_find(&s, "a_mask") != NULL, "%u tensors", (unsigned)s.tensor_count);
    CHECK_OK(wf_source_read_f32(&s, t, 0, 12, f, &err), err);
    CHECK(memcmp(f, weights, sizeof f) == 0, "not as stored");
    wf_source_close(&s);
    blob_free(&b);
}

WF_TEST(a_mask_of_another_shape) {
    blob b = file_of("{\"a_mask\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[48,96]},"
                     "\"a_orig\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]}}");
    wf_source s;
    wf_error err;
    CHECK_FAILS(open_file(&b, &s, &err), WF_E_SHAPE, err);
    CHECK(strstr(err.text, "another shape") != NULL, "%s", err.text);
    blob_free(&b);
}

int main(void) {
    RUN(read_as_the_product);
    RUN(names_that_only_look_like_it);
    RUN(a_mask_of_another_shape);
    return wf_test_done();
}
