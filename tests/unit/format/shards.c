/* Checkpoints in several safetensors files: one source over all, reads across their borders, and every
   kind of bad index with its exact sentence. */
#include "base/alloc.h"
#include "memory.h"

static const char one[] = "{\"module.a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                          "\"module.b\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[8,11]}}";
static const char two[] = "{\"module.c\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}";
static const char index_text[] =
    "{\"metadata\":{\"total_size\":27},\"weight_map\":{\"module.a\":\"m-1.safetensors\","
    "\"module.c\":\"m-2.safetensors\",\"module.b\":\"m-1.safetensors\"}}";

static blob file_of(const char *header, const void *data, size_t n) {
    blob b = {NULL, 0, 0};
    blob_string(&b, header);
    blob_put(&b, data, n);
    return b;
}

/* Opens index and files (the first name's file is `first`); the source is closed again. */
static wf_status open_all(const char *index, blob *first, blob *second, wf_source *s, wf_shards *x,
                          wf_error *err) {
    wf_error_clear(err);
    WF_TRY(wf_shards_read(x, index, strlen(index), "model.index.json", err));
    for (uint32_t i = 0; i < x->count; i++) {
        x->files[i] = blob_file(strcmp(x->names[i], "m-2.safetensors") == 0 ? second : first);
    }
    wf_status status = wf_shards_open(x, s, err);
    if (status != WF_OK) {
        wf_shards_free(x);
    }
    return status;
}

static const float a_data[3] = {1.5f, -2, 0}; /* and three bytes of b */
static const float c_data[4] = {3, 4, 5, 6};

WF_TEST(several_files_are_one_source) {
    uint8_t data[11];
    memcpy(data, a_data, 8);
    memcpy(data + 8, "\x01\xff\x7f", 3);
    blob f1 = file_of(one, data, 11), f2 = file_of(two, c_data, 16);
    wf_source s;
    wf_shards x;
    wf_error err;
    float got[4];
    CHECK_OK(open_all(index_text, &f1, &f2, &s, &x, &err), err);
    if (err.code == WF_OK) {
        CHECK(x.count == 2 && s.tensor_count == 3 && s.file.size == f1.n + f2.n, "%u files, %llu tensors",
              x.count, (unsigned long long)s.tensor_count);
        CHECK(s.prefix_note != NULL && strcmp(s.prefix_note, "without the prefix module.") == 0);
        CHECK_OK(wf_source_read_f32(&s, wf_source_find(&s, "a"), 0, 2, got, &err), err);
        CHECK(got[0] == 1.5f && got[1] == -2, "%g %g", (double)got[0], (double)got[1]);
        CHECK_OK(wf_source_read_f32(&s, wf_source_find(&s, "b"), 0, 3, got, &err), err);
        CHECK(got[0] == 1 && got[1] == -1 && got[2] == 127, "%g %g %g", (double)got[0], (double)got[1],
              (double)got[2]);
        CHECK_OK(wf_source_read_f32(&s, wf_source_find(&s, "c"), 0, 4, got, &err), err);
        CHECK(memcmp(got, c_data, sizeof got) == 0, "c is %g …", (double)got[0]);
        uint8_t across[20]; /* the joined file at the border of its parts */
        CHECK_OK(s.file.read(s.file.user, f1.n - 10, across, 20, &err), err);
        CHECK(memcmp(across, f1.bytes + f1.n - 10, 10) == 0 && memcmp(across + 10, f2.bytes, 10) == 0);
        CHECK(s.file.read(s.file.user, s.file.size - 1, across, 2, &err) != WF_OK, "a read past the end");
        wf_source_close(&s);
        wf_shards_free(&x);
    }
    blob_free(&f1);
    blob_free(&f2);
}

static void refused(const char *name, const char *index, const char *header2, wf_status code,
                    const char *sentence) {
    uint8_t data[16] = {0};
    blob f1 = file_of(one, data, 11), f2 = file_of(header2, data, 16);
    wf_source s;
    wf_shards x;
    wf_error err;
    uint64_t live = wf_alloc_get_stats().live;
    wf_test_begin();
    wf_status status = open_all(index, &f1, &f2, &s, &x, &err);
    CHECK(status == code, "status %d: %s", (int)status, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    CHECK(wf_alloc_get_stats().live == live, "it leaks");
    wf_test_end("refuses %s", name);
    blob_free(&f1);
    blob_free(&f2);
}

static void bad_indices(void) {
    refused("an index that is a config", "{\"hidden_size\":3}", two, WF_E_FORMAT,
            "model.index.json has no object \"weight_map\", so it is no index of a sharded checkpoint: "
            "give the checkpoint itself");
    refused("broken JSON", "{\"weight_map\":", two, WF_E_FORMAT,
            "model.index.json, line 1, column 15: the text ends where a value is expected: it is empty or "
            "was cut off");
    static const char *const paths[] = {"../x.safetensors", "/etc/x.safetensors", "a\\\\x.safetensors",
                                        ".x.safetensors", "c:x.safetensors"};
    for (int i = 0; i < 5; i++) {
        char index[128], sentence[256], shown[64];
        snprintf(index, sizeof index, "{\"weight_map\":{\"t\":\"%s\"}}", paths[i]);
        snprintf(shown, sizeof shown, "%s", i == 2 ? "a\\x.safetensors" : paths[i]);
        snprintf(sentence, sizeof sentence,
                 "model.index.json says that tensor \"t\" is in \"%s\", which is no plain file name beside "
                 "it: the index is damaged or made to do harm",
                 shown);
        refused(paths[i], index, two, WF_E_FORMAT, sentence);
    }
    refused("shards of torch.save", "{\"weight_map\":{\"t\":\"pytorch_model-1.bin\"}}", two,
            WF_E_UNSUPPORTED,
            "model.index.json lists \"pytorch_model-1.bin\", and only shards in safetensors are read: save "
            "the checkpoint as safetensors");
    refused("a tensor that is in another file",
            "{\"weight_map\":{\"module.c\":\"m-1.safetensors\",\"module.a\":\"m-2.safetensors\"}}", two,
            WF_E_MISSING,
            "tensor \"module.c\" is not in m-1.safetensors, where model.index.json says it is: the files do "
            "not belong together; download all of them again");
    refused("a tensor that is nowhere", "{\"weight_map\":{\"module.d\":\"m-1.safetensors\"}}", two,
            WF_E_MISSING,
            "tensor \"module.d\" is not in m-1.safetensors, where model.index.json says it is: the files do "
            "not belong together; download all of them again");
    refused("a damaged shard", index_text, "[]", WF_E_FORMAT,
            "m-2.safetensors: the safetensors header is no JSON object: the file is damaged; download it "
            "again");
    refused("a tensor in two shards", index_text,
            "{\"module.c\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
            "\"module.a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
            WF_E_FORMAT,
            "two tensors are named \"a\": the file is damaged or badly made; save the model again");
}

WF_TEST(memory_that_runs_out_is_an_error_and_nothing_leaks) {
    uint8_t data[16] = {0};
    blob f1 = file_of(one, data, 11), f2 = file_of(two, data, 16);
    wf_source s;
    wf_shards x;
    wf_error err;
    int failures = 0;
    uint64_t live = wf_alloc_get_stats().live;
    for (uint64_t n = 1; n < 1000; n++) {
        wf_alloc_fail_after(n);
        wf_status status = open_all(index_text, &f1, &f2, &s, &x, &err);
        wf_alloc_fail_after(0);
        if (status == WF_OK) {
            wf_source_close(&s);
            wf_shards_free(&x);
            break;
        }
        failures++;
        CHECK(status == WF_E_MEMORY, "allocation %d: %s", (int)n, err.text);
        CHECK(wf_alloc_get_stats().live == live, "allocation %d leaks", (int)n);
    }
    CHECK(failures >= 4 && wf_alloc_get_stats().live == live, "%d failures", failures);
    blob_free(&f1);
    blob_free(&f2);
}

int main(void) {
    RUN(several_files_are_one_source);
    bad_indices();
    RUN(memory_that_runs_out_is_an_error_and_nothing_leaks);
    return wf_test_done();
}
