/* A table of magic numbers, each with the sentence that a person needs; text formats after leading
 * white space. */
#include "format/sniff.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

typedef struct magic {
    const char *bytes;
    unsigned char n;
    unsigned char kind; /* wf_sniffed */
    const char *sentence;
} magic;

static const char web_page[] = "a web page, not a model: check the URL";

static const magic table[] = {
    {"GGUF", 4, WF_SNIFFED_GGUF, "a GGUF file, which needs no conversion: run it as it is"},
    {"PK\3\4", 4, WF_SNIFFED_ZIP, "a zip archive (a PyTorch .pth?), not GGUF: convert it first"},
    {"\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14, WF_SNIFFED_TORCH_LEGACY,
     "a PyTorch checkpoint, not GGUF: convert it first"},
    {"\x80", 1, WF_SNIFFED_OTHER,
     "a bare Python pickle, not a model file: save the state dict with torch.save or safetensors"},
    {"\x1f\x8b", 2, WF_SNIFFED_OTHER,
     "gzip-compressed data, not a model: unpack it first (gunzip)"},
    {"\x28\xb5\x2f\xfd", 4, WF_SNIFFED_OTHER,
     "zstd-compressed data, not a model: unpack it first (unzstd)"},
    {"\xfd"
     "7zXZ",
     5, WF_SNIFFED_OTHER, "xz-compressed data, not a model: unpack it first (unxz)"},
    {"BZh", 3, WF_SNIFFED_OTHER, "bzip2-compressed data, not a model: unpack it first (bunzip2)"},
    {"7z\xbc\xaf", 4, WF_SNIFFED_OTHER, "a 7z archive, not a model: unpack it first"},
    {"version https://git-lfs", 23, WF_SNIFFED_OTHER,
     "a Git LFS pointer, not the model itself: run `git lfs pull`, or download the file by its "
     "resolve URL"},
    {"\x89HDF", 4, WF_SNIFFED_OTHER,
     "an HDF5 (Keras) file, which is not read: export the weights as safetensors"},
    {"\x89PNG", 4, WF_SNIFFED_OTHER,
     "a PNG picture, not a model: were model and picture exchanged?"},
    {"\xff\xd8\xff", 3, WF_SNIFFED_OTHER,
     "a JPEG picture, not a model: were model and picture exchanged?"},
    {"tjgg", 4, WF_SNIFFED_OTHER,
     "a GGJT file, the predecessor of GGUF: convert the original model again"},
    {"lmgg", 4, WF_SNIFFED_OTHER,
     "a GGML file, the predecessor of GGUF: convert the original model again"},
    {"24ka", 4, WF_SNIFFED_OTHER,
     "a llama2.c checkpoint, which is not read: use the .pt file it was exported from"},
};

static bool starts_with(const unsigned char *p, size_t n, const char *bytes, size_t count) {
    return n >= count && memcmp(p, bytes, count) == 0;
}

wf_sniffed wf_sniff(const void *bytes, size_t n, const char **sentence) {
    const unsigned char *p = bytes;
    *sentence = NULL;
    /* safetensors has no magic: a little-endian header length, then JSON. First, because the low
       byte of the length may look like one of the short magics. */
    if (n >= 9 && p[8] == '{' && wf_load_u64(p) >= 2 && wf_load_u64(p) <= UINT64_C(1) << 32) {
        *sentence = "a safetensors file, not GGUF: convert it first";
        return WF_SNIFFED_SAFETENSORS;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (starts_with(p, n, table[i].bytes, table[i].n)) {
            *sentence = table[i].sentence;
            return (wf_sniffed)table[i].kind;
        }
    }
    size_t i = starts_with(p, n, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (i < n && i < 32 && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r'))) {
        i++;
    }
    if (i < n && p[i] == '<') {
        *sentence = web_page;
        return WF_SNIFFED_OTHER;
    }
    if (i < n && (p[i] == '{' || p[i] == '[')) {
        *sentence = "JSON text, not a model: perhaps a server's error message; check the URL";
        return WF_SNIFFED_OTHER;
    }
    return WF_SNIFFED_UNKNOWN;
}

void wf_sniff_hex(const void *bytes, size_t n, char out[12]) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    size_t at = 0;
    for (size_t i = 0; i < n && i < 4; i++) {
        if (i != 0) {
            out[at++] = ' ';
        }
        out[at++] = digits[p[i] >> 4];
        out[at++] = digits[p[i] & 15];
    }
    out[at] = '\0';
}
