/* PyTorch's container from before version 1.6, built here byte by byte: what is refused, and how.
   That real files give the right tensors is in torch_zip.c. */
#include "archive.h"
#include "base/alloc.h"

static const char magic[] = "\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

typedef struct legacy {
    int version;
    bool big_endian;
    const char *type;    /* of storage "0" */
    uint64_t elements;   /* as the count before its bytes says */
    const char *keys[3]; /* of the list */
    size_t stored;       /* bytes of storage "0" that are there */
    bool view;
} legacy;

static const legacy good = {1001, false, "FloatStorage", 7, {"0", NULL, NULL}, 28, false};

/* {"w": 2 × 3 of storage "0" with 7 elements}; with `view` the storage's id has a view's sixth
 * part. */
static void put_object(blob *p, const legacy *l) {
    begin_pickle(p);
    pickle_text(p, "w");
    blob_text(p, "ctorch._utils\n_rebuild_tensor_v2\n((");
    pickle_text(p, "storage");
    blob_text(p, "ctorch\n");
    blob_text(p, l->type);
    blob_text(p, "\n");
    pickle_text(p, "0");
    pickle_text(p, "cpu");
    blob_put(p, "K\7", 2);
    if (l->view) {
        blob_text(p, "(");
        pickle_text(p, "1");
        blob_put(p, "K\0K\7t", 5);
    } else {
        blob_text(p, "N");
    }
    blob_put(p, "tQK\0(K\2K\3t(K\3K\1t", 16);
    blob_put(p, "\x89}tR", 4);
    end_pickle(p);
}

static blob make(const legacy *l) {
    static const float elements[7] = {1, 2, 3, 4, 5, 6, 7};
    blob b = {NULL, 0, 0};
    blob_put(&b, magic, sizeof magic - 1);
    blob_put(&b, "\x80\2M", 3);
    blob_int(&b, (uint64_t)l->version, 2);
    blob_put(&b, ".\x80\2}(", 5);
    pickle_text(&b, "little_endian");
    blob_put(&b, l->big_endian ? "\x89u." : "\x88u.", 3);
    put_object(&b, l);
    blob_put(&b, "\x80\2](", 4);
    for (int i = 0; i < 3 && l->keys[i] != NULL; i++) {
        pickle_text(&b, l->keys[i]);
    }
    blob_text(&b, "e.");
    blob_int(&b, l->elements, 8);
    blob_put(&b, elements, l->stored);
    return b;
}

WF_TEST(reads_a_sound_file) {
    blob b = make(&good);
    wf_source s;
    wf_error err;
    float got[6] = {0};
    CHECK_OK(open_blob(&b, &s, &err), err);
    if (err.code == WF_OK) {
        CHECK(s.tensor_count == 1 && strcmp(s.container, "torch legacy") == 0, "%s", s.container);
        CHECK_OK(wf_source_read_f32(&s, &s.tensors[0], 0, 6, got, &err), err);
        CHECK(got[0] == 1 && got[5] == 6, "%g … %g", (double)got[0], (double)got[5]);
        wf_source_close(&s);
    }
    blob_free(&b);
}

static void refuse(const char *name, legacy l, wf_status code, const char *sentence) {
    blob b = make(&l);
    wf_source s;
    wf_error err;
    wf_test_begin();
    wf_status status = open_blob(&b, &s, &err);
    CHECK(status == code, "status %d: %s", (int)status, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    wf_test_end("refuses %s", name);
    blob_free(&b);
}

static void bad_files(void) {
    legacy l = good;
    l.version = 1000;
    refuse("another protocol version", l, WF_E_UNSUPPORTED,
           "this PyTorch checkpoint has protocol version 1000, and 1001 is read: save it again "
           "with a newer torch");
    l = good;
    l.big_endian = true;
    refuse("big-endian bytes", l, WF_E_UNSUPPORTED,
           "this checkpoint is not written in little-endian byte order, and only that is read: "
           "save it again on a little-endian machine");
    l = good;
    l.type = "StringStorage";
    refuse("an unknown storage", l, WF_E_UNSUPPORTED,
           "this checkpoint holds a StringStorage, whose width is not known: convert it to float32 "
           "before saving");
    l = good;
    l.elements = UINT64_MAX / 4 + 2; /* times four overflows to 4 */
    refuse("a count that overflows", l, WF_E_TRUNCATED,
           "the storage 0 is said to hold 4611686018427387905 elements, and the file has only 28 "
           "bytes more: it was cut off; download it "
           "again");
    l = good;
    l.keys[0] = "1";
    refuse("a storage that the object does not know", l, WF_E_FORMAT,
           "the list of storages of this PyTorch checkpoint (container from before version 1.6) "
           "cannot be: the file is damaged; download "
           "it again");
    l = good;
    l.keys[1] = "0";
    refuse("a storage listed twice", l, WF_E_FORMAT,
           "the list of storages of this PyTorch checkpoint (container from before version 1.6) "
           "cannot be: the file is damaged; download "
           "it again");
    l = good;
    l.keys[0] = NULL;
    refuse("a storage without bytes", l, WF_E_FORMAT,
           "the bytes of tensor \"w\" (storage 0) are not in the file: it is damaged; download it "
           "again");
    l = good;
    l.elements = 6;
    refuse("a storage shorter than the object says", l, WF_E_FORMAT,
           "the storage of tensor \"w\" is said to hold 7 elements, and its entry has 24 bytes: "
           "the file is damaged; download it again");
    l = good;
    l.view = true;
    refuse("a view of a storage", l, WF_E_UNSUPPORTED,
           "tensor \"w\" lies in a view of another storage, as only very old versions of PyTorch "
           "wrote them: load it in PyTorch and "
           "torch.save it again");
}

WF_TEST(cut_off_at_every_byte_is_an_error) {
    blob b = make(&good);
    wf_source s;
    wf_error err;
    for (size_t n = 0; n < b.n; n++) {
        blob part = {malloc(n + 1), n, 0};
        memcpy(part.bytes, b.bytes, n);
        CHECK(open_blob(&part, &s, &err) != WF_OK && err.text[0] != '\0', "cut at %zu", n);
        free(part.bytes);
    }
    blob_free(&b);
}

/* A name so long that the object's pickle does not fit into the first window. */
WF_TEST(a_long_table_of_contents_is_read_in_larger_pieces) {
    blob b = {NULL, 0, 0}, sound = make(&good);
    size_t object =
        0; /* where its opcodes begin, behind the last PROTO and before the list of keys */
    for (size_t i = 0; i + 4 < sound.n; i++) {
        object = memcmp(sound.bytes + i, "\x80\2}(", 4) == 0 ? i + 2 : object;
    }
    char *name = malloc(3000001);
    memset(name, 'n', 3000000);
    name[3000000] = '\0';
    blob_put(&b, sound.bytes, object);
    pickle_text(&b, name); /* a string that is dropped at once */
    blob_text(&b, "0");
    blob_put(&b, sound.bytes + object, sound.n - object);
    wf_source s;
    wf_error err;
    CHECK_OK(open_blob(&b, &s, &err), err);
    if (err.code == WF_OK) {
        CHECK(s.tensor_count == 1, "%d tensors", (int)s.tensor_count);
        wf_source_close(&s);
    }
    free(name);
    blob_free(&b);
    blob_free(&sound);
}

WF_TEST(memory_that_runs_out_is_an_error_and_nothing_leaks) {
    blob b = make(&good);
    wf_source s;
    wf_error err;
    int failures = 0;
    uint64_t live = wf_alloc_get_stats().live;
    for (uint64_t n = 1; n < 1000; n++) {
        wf_alloc_fail_after(n);
        wf_status status = open_blob(&b, &s, &err);
        wf_alloc_fail_after(0);
        if (status == WF_OK) {
            wf_source_close(&s);
            break;
        }
        failures++;
        CHECK(status == WF_E_MEMORY, "allocation %d: %s", (int)n, err.text);
        CHECK(wf_alloc_get_stats().live == live, "allocation %d leaks", (int)n);
    }
    CHECK(failures >= 4 && wf_alloc_get_stats().live == live, "%d failures", failures);
    blob_free(&b);
}

int main(void) {
    RUN(reads_a_sound_file);
    bad_files();
    RUN(cut_off_at_every_byte_is_an_error);
    RUN(a_long_table_of_contents_is_read_in_larger_pieces);
    RUN(memory_that_runs_out_is_an_error_and_nothing_leaks);
    return wf_test_done();
}
