/* Pickles that a checkpoint must not get away with, each with its exact sentence: opcodes and
   arguments out of place, tensors that reach outside their storage or unfold without end, and work
   that would grow with the square of the file. */
#include "archive.h"
#include "base/alloc.h"

/* An archive around this pickle must be refused with this sentence. */
static void refused_pickle(const char *name, blob *p, wf_status code, const char *sentence) {
    entry entries[] = {{"m/data.pkl", p->bytes, p->n}, {"m/data/0", storage, sizeof storage}};
    blob file = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    wf_test_begin();
    put_archive(&file, entries, 2, 0);
    wf_status status = open_blob(&file, &s, &err);
    CHECK(status == code, "status %d: %s", (int)status, err.text);
    CHECK(strcmp(err.text, sentence) == 0, "the sentence is: %s", err.text);
    if (status == WF_OK) {
        wf_source_close(&s);
    }
    wf_test_end("refuses %s", name);
    blob_free(&file);
    blob_free(p);
}

static void bad_tensors(void) {
    static const struct {
        const char *name, *type, *storage;
        int64_t numel, offset;
        int n_dims;
        int64_t size[9], stride[9];
        wf_status code;
        const char *sentence;
    } rows[] = {
        {"a tensor that leaves its storage",
         "FloatStorage",
         "0",
         6,
         3,
         2,
         {2, 2},
         {2, 1},
         WF_E_FORMAT,
         "tensor \"t\" reaches outside its storage of 24 bytes: the file is damaged or made to do "
         "harm; don't use it"},
        {"a stride that leaves the storage",
         "FloatStorage",
         "0",
         6,
         0,
         1,
         {2},
         {INT64_MAX},
         WF_E_FORMAT,
         "tensor \"t\" reaches outside its storage of 24 bytes: the file is damaged or made to do "
         "harm; don't use it"},
        {"an offset outside the storage",
         "FloatStorage",
         "0",
         6,
         6,
         0,
         {0},
         {0},
         WF_E_FORMAT,
         "tensor \"t\" reaches outside its storage of 24 bytes: the file is damaged or made to do "
         "harm; don't use it"},
        {"a storage larger than its entry",
         "FloatStorage",
         "0",
         7,
         0,
         1,
         {7},
         {1},
         WF_E_FORMAT,
         "the storage of tensor \"t\" is said to hold 7 elements, and its entry has 24 bytes: the "
         "file is damaged; download "
         "it again"},
        {"a negative storage",
         "FloatStorage",
         "0",
         -1,
         0,
         1,
         {1},
         {1},
         WF_E_FORMAT,
         "the storage of tensor \"t\" is said to hold -1 elements, and its entry has 24 bytes: the "
         "file is damaged; download "
         "it again"},
        {"a negative stride",
         "FloatStorage",
         "0",
         6,
         5,
         1,
         {2},
         {-1},
         WF_E_FORMAT,
         "tensor \"t\" has an impossible size, stride or offset: the file is damaged or made to do "
         "harm; don't use it"},
        {"a negative size",
         "FloatStorage",
         "0",
         6,
         0,
         1,
         {-2},
         {1},
         WF_E_FORMAT,
         "tensor \"t\" has an impossible size, stride or offset: the file is damaged or made to do "
         "harm; don't use it"},
        {"a negative offset",
         "FloatStorage",
         "0",
         6,
         -1,
         1,
         {2},
         {1},
         WF_E_FORMAT,
         "tensor \"t\" has an impossible size, stride or offset: the file is damaged or made to do "
         "harm; don't use it"},
        {"a stride-0 bomb",
         "FloatStorage",
         "0",
         6,
         0,
         2,
         {1 << 20, 1 << 20},
         {0, 0},
         WF_E_FORMAT,
         "tensor \"t\" would unfold 1 stored elements to 1099511627776: no real model does that; "
         "don't use this file"},
        {"sizes that overflow",
         "FloatStorage",
         "0",
         6,
         0,
         3,
         {INT64_C(1) << 40, INT64_C(1) << 40, 4},
         {0, 0, 0},
         WF_E_SHAPE,
         "the dimensions of tensor \"t\" multiply to more than any file can hold: the file is "
         "damaged; download it again"},
        {"nine dimensions",
         "FloatStorage",
         "0",
         6,
         0,
         9,
         {1, 1, 1, 1, 1, 1, 1, 1, 1},
         {0},
         WF_E_UNSUPPORTED,
         "tensor \"t\" has 9 dimensions, and 8 are supported: reshape it before saving"},
        {"a storage that is not there",
         "FloatStorage",
         "7",
         6,
         0,
         1,
         {1},
         {1},
         WF_E_FORMAT,
         "the bytes of tensor \"t\" (entry data/7) are not in the archive: the file is damaged; "
         "download it again"},
        {"a complex tensor",
         "ComplexFloatStorage",
         "0",
         3,
         0,
         1,
         {1},
         {1},
         WF_E_UNSUPPORTED,
         "tensor \"t\" is stored as ComplexFloatStorage, which is not read: convert it to float32 "
         "before saving"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        blob p = {NULL, 0, 0};
        begin_pickle(&p);
        pickle_tensor(&p, "t", rows[i].type, rows[i].storage, rows[i].numel, rows[i].offset,
                      rows[i].n_dims, rows[i].size, rows[i].stride);
        end_pickle(&p);
        refused_pickle(rows[i].name, &p, rows[i].code, rows[i].sentence);
    }
}

static void bad_pickles(void) {
    static const int64_t one[1] = {1};
    static const struct {
        const char *name, *bytes;
        size_t n;
        wf_status code;
        const char *sentence;
    } rows[] = {
        {"an empty pickle", LITERAL(""), WF_E_FORMAT,
         "the pickle inside the checkpoint ends early (at its byte 0): the file is damaged or was "
         "not made by torch.save"},
        {"a pickle without an end", LITERAL("\x80\2}"), WF_E_FORMAT,
         "the pickle inside the checkpoint ends early (at its byte 3): the file is damaged or was "
         "not made by torch.save"},
        {"a pickle of a later protocol", LITERAL("\x80\6}."), WF_E_FORMAT,
         "the pickle inside the checkpoint has a protocol above 5 (at its byte 2): the file is "
         "damaged or was not made by "
         "torch.save"},
        {"an opcode that is not on the list", LITERAL("\x80\2i"), WF_E_FORMAT,
         "the pickle inside the checkpoint uses opcode 0x69, which plain checkpoints never do (at "
         "its byte 2): save the state "
         "dict again with torch.save, or as safetensors"},
        {"a recall of nothing", LITERAL("\x80\2h\7."), WF_E_FORMAT,
         "the pickle inside the checkpoint recalls a value that it never made (at its byte 4): the "
         "file is damaged or was not "
         "made by torch.save"},
        {"a memo index far away", LITERAL("\x80\2Nr\377\377\377\377."), WF_E_FORMAT,
         "the pickle inside the checkpoint remembers a value that is not there, or too many (at "
         "its byte 8): the file is "
         "damaged or was not made by torch.save"},
        {"an empty stack", LITERAL("\x80\2\x85."), WF_E_FORMAT,
         "the pickle inside the checkpoint takes more values than it made (at its byte 3): the "
         "file is damaged or was not made "
         "by torch.save"},
        {"a group without a start", LITERAL("\x80\2Nt."), WF_E_FORMAT,
         "the pickle inside the checkpoint closes a group that it did not open (at its byte 4): "
         "the file is damaged or was not "
         "made by torch.save"},
        {"a string past the end", LITERAL("\x80\2X\377\377\377\177a."), WF_E_FORMAT,
         "the pickle inside the checkpoint ends inside a string (at its byte 7): the file is "
         "damaged or was not made by "
         "torch.save"},
        {"a list as the whole", LITERAL("\x80\2]."), WF_E_MISSING,
         "this checkpoint holds no dict of tensors: in Python, torch.save(model.state_dict(), "
         "NEW)"},
        {"a whole model object", LITERAL("\x80\2ctorchvision.models\nResNet\n)\x81}b."),
         WF_E_MISSING,
         "this checkpoint holds a whole object of the Python class torchvision.models.ResNet: in "
         "Python, "
         "torch.save(model.state_dict(), NEW)"},
        {"a dict without tensors", LITERAL("\x80\2}(X\5\0\0\0epochK\1X\3\0\0\0netNu."),
         WF_E_MISSING,
         "no state dict was found in this checkpoint, whose top level holds the keys epoch, net: "
         "in Python, "
         "torch.save(checkpoint[KEY], NEW)"},
        {"a tensor from wrong arguments", LITERAL("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R."),
         WF_E_FORMAT,
         "the pickle inside the checkpoint rebuilds a tensor from the wrong arguments (at its byte "
         "37): the file is damaged or "
         "was not made by torch.save"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        blob p = {NULL, 0, 0};
        blob_put(&p, rows[i].bytes, rows[i].n);
        refused_pickle(rows[i].name, &p, rows[i].code, rows[i].sentence);
    }
    blob p = {NULL, 0, 0};
    begin_pickle(&p);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 0, 1, one, one);
    pickle_text(&p, "s");
    blob_text(&p, "ctorch._utils\n_rebuild_sparse_tensor\n)R");
    end_pickle(&p);
    refused_pickle("a sparse tensor among others", &p, WF_E_UNSUPPORTED,
                   "\"s\" is a special tensor (torch._utils._rebuild_sparse_tensor), which is not "
                   "read: make it an ordinary one "
                   "before saving");
    begin_pickle(&p);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 0, 1, one, one);
    pickle_tensor(&p, "t", "FloatStorage", "0", 6, 1, 1, one, one);
    end_pickle(&p);
    refused_pickle(
        "two tensors of one name", &p, WF_E_FORMAT,
        "two tensors are named \"t\": the file is damaged or badly made; save the model again");
}

/* A list of pairs, recalled again and again as a dict's argument, must not cost time and memory
 * squared. */
WF_TEST(shared_lists_are_not_copied_without_end) {
    enum { MANY = 20000 };
    blob p = {NULL, 0, 0}, file = {NULL, 0, 0};
    wf_source s;
    wf_error err;
    blob_put(&p, LITERAL("\x80\2ccollections\nOrderedDict\nq\0]("));
    for (int i = 0; i < MANY; i++) {
        blob_put(&p, "K\1K\2\x86", 5);
    }
    blob_put(&p, "e\x85q\1", 4);
    for (int i = 0; i < MANY; i++) {
        blob_put(&p, "h\0h\1R0", 6);
    }
    blob_text(&p, ".");
    entry entries[] = {{"m/data.pkl", p.bytes, p.n}};
    put_archive(&file, entries, 1, 0);
    CHECK(open_blob(&file, &s, &err) == WF_E_FORMAT, "%s", err.text);
    CHECK(strstr(err.text, "copies the same list over and over") != NULL, "%s", err.text);
    CHECK(wf_alloc_get_stats().peak_bytes < 64u << 20);
    blob_free(&p);
    blob_free(&file);
}

int main(void) {
    bad_tensors();
    bad_pickles();
    RUN(shared_lists_are_not_copied_without_end);
    return wf_test_done();
}
