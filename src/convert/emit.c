/* Writes the GGUF file of a mapping: metadata, then each tensor row by row from the source, reordered and encoded. Holds one row
   (a position table: one table) in memory, so the size of a checkpoint does not matter. The header holds the hashes of the data and of itself
   (runtime/integrity.h), so the final file is made twice: once to hash it, once to write it. */
#include <string.h>

#include "base/alloc.h"
#include "convert/chunks.h"
#include "convert/mapping.h"
#include "convert/rewrite.h"

wf_map_stored wf_map_stored_of(const wf_mapping *m, const wf_map_row *r, wf_dtype wanted) {
    const uint64_t *d = r->source->dims;
    uint64_t elements = r->source->elements; /* of all sources of a stack */
    for (uint32_t i = 0; i < WF_MAP_STACK - 1 && r->more[i] != NULL; i++) {
        elements += r->more[i]->elements;
    }
    wf_map_stored s = {wanted == WF_F64 ? WF_F64 : WF_F32, 1, elements, 0};
    if (r->rewrite != NULL && r->rewrite->made) { /* a bias for a matrix that had none */
        s.k = elements / (r->source->elements / d[0]);
        s.stored_k = s.k;
        return s;
    }
    if (wf_map_is_encoded(r)) {
        bool quantized = wanted != WF_F32 && wanted != WF_F16 && wanted != WF_F64;
        s.type = quantized && wf_map_is_kept(m, r) ? WF_F16 : wanted;
        s.type = s.type == WF_I8 && r->kind == WF_MAP_LOOKUP ? WF_Q8_0 : s.type;
        bool square = r->kind == WF_MAP_INPUT_FIRST;
        s.k = square ? (d[0] > d[2] ? d[0] : d[2]) : r->kind == WF_MAP_DECONV ? d[0] : r->source->elements / d[0];
        s.rows = elements / s.k;
        s.type = m->unpadded && s.k % wf_dtype_get(s.type)->block != 0 ? WF_F16 : s.type;
    } else if (r->kind == WF_MAP_TILED) {
        s.k = elements * r->repeat;
    } else if (r->kind == WF_MAP_TABLE_ROWS) {
        s.k = d[r->source->n_dims - 1];
        s.rows = elements / s.k;
    } else if (r->kind == WF_MAP_TABLE_CHW) {
        s.rows = d[2] * d[3];
        s.k = d[1];
    } else if (r->kind == WF_MAP_DEPTHWISE) {
        s.rows = d[2] * d[3];
        s.k = elements / s.rows;
    }
    uint64_t block = wf_dtype_get(s.type)->block;
    s.stored_k = (s.k + block - 1) / block * block;
    return s;
}

/* Doubles as they are computed: for proofs only, never in a file that is kept. */
static wf_status write_exact(wf_map_reader *reader, wf_gguf_writer *w, wf_error *err) {
    wf_status status = WF_OK;
    for (uint64_t i = 0; i < reader->stored.rows && status == WF_OK; i++) {
        status = wf_map_read_rewritten(reader, i, reader->exact, err);
        if (status == WF_OK) {
            status = wf_gguf_write_data(w, reader->exact, reader->stored.k * sizeof(double), err);
        }
    }
    return status;
}

/* Halves end where floats go on. */
static wf_status check_halves(const wf_map_row *r, const float *line, uint64_t k, wf_error *err) {
    for (uint64_t c = 0; c < k; c++) {
        if (line[c] > 65504 || line[c] < -65504) {
            return wf_fail(err, WF_E_LOSS, r->source->name, -1, "tensor \"%s\" holds %g, and F16 ends at 65504: convert to f32",
                           r->source->name, (double)line[c]);
        }
    }
    return WF_OK;
}

static wf_status write_encoded(wf_map_reader *reader, const wf_map_stored *s, wf_gguf_writer *w, wf_error *err) {
    void *memory;
    uint64_t row_bytes = wf_dtype_row_bytes(s->type, s->stored_k);
    WF_TRY(wf_alloc_array(&memory, s->stored_k * sizeof(float) + row_bytes, 1, reader->row->source->name, err));
    float *line = memory;
    void *encoded = line + s->stored_k;
    wf_status status = WF_OK;
    for (uint64_t i = 0; i < s->rows && status == WF_OK; i++) {
        status = wf_map_read_row(reader, i, line, err);
        if (status == WF_OK && s->type == WF_F16) {
            status = check_halves(reader->row, line, s->k, err);
        }
        if (status == WF_OK) {
            wf_dtype_get(s->type)->encode(line, encoded, s->stored_k);
            status = wf_gguf_write_data(w, encoded, row_bytes, err);
        }
    }
    wf_free(memory);
    return status;
}

static wf_status write_tensor(const wf_mapping *m, uint32_t index, wf_dtype type, wf_gguf_writer *w, wf_error *err) {
    wf_map_stored s = wf_map_stored_of(m, &m->rows[index], type);
    wf_map_reader reader;
    if (s.type == WF_I8) {
        return wf_int8_write(m, index, w, err);
    }
    WF_TRY(wf_map_reader_open(&reader, m, &m->rows[index], err));
    wf_status status = s.type == WF_F64 ? write_exact(&reader, w, err) : write_encoded(&reader, &s, w, err);
    wf_map_reader_close(&reader);
    return status;
}

wf_status wf_emit_layer_loss(const wf_mapping *m, const wf_map_row *r, wf_dtype wanted, double *loss, wf_error *err) {
    const wf_map_stored stored = wf_map_stored_of(m, r, wanted), *s = &stored;
    void *memory;
    uint64_t row_bytes = wf_dtype_row_bytes(s->type, s->stored_k);
    WF_TRY(wf_alloc_array(&memory, 2 * s->stored_k * sizeof(float) + row_bytes, 1, r->source->name, err));
    float *line = memory, *back = line + s->stored_k;
    void *encoded = back + s->stored_k;
    const wf_dtype_info *type = wf_dtype_get(s->type);
    double difference = 0, size = 0;
    wf_map_reader reader;
    wf_status status = wf_map_reader_open(&reader, m, r, err);
    for (uint64_t i = 0; i < s->rows && status == WF_OK; i++) {
        status = wf_map_read_row(&reader, i, line, err);
        if (status == WF_OK) {
            float step = 1;
            if (s->type == WF_I8) {
                step = wf_int8_encode(line, s->k, m->pairs, encoded);
            } else {
                type->encode(line, encoded, s->stored_k);
            }
            type->decode(encoded, back, s->stored_k);
            for (uint64_t k = 0; k < s->k && s->type == WF_I8; k++) {
                back[k] *= step;
            }
        }
        for (uint64_t k = 0; k < s->k && status == WF_OK; k++) {
            double d = (double)back[k] - (double)line[k];
            difference += d * d;
            size += (double)line[k] * (double)line[k];
        }
    }
    *loss = size > 0 ? __builtin_sqrt(difference / size) : 0;
    wf_map_reader_close(&reader);
    wf_free(memory);
    return status;
}

void wf_emit_insert_worst(wf_layer_loss worst[WF_WORST_LAYERS], wf_layer_loss one) {
    for (int w = 0; w < WF_WORST_LAYERS; w++) {
        if (one.loss > worst[w].loss) {
            wf_layer_loss moved = worst[w];
            worst[w] = one;
            one = moved;
        }
    }
}

wf_status wf_emit_worst(const wf_mapping *m, wf_dtype type, wf_layer_loss worst[WF_WORST_LAYERS], wf_error *err) {
    memset(worst, 0, WF_WORST_LAYERS * sizeof *worst);
    for (uint32_t i = 0; i < m->row_count; i++) {
        wf_layer_loss one = {m->rows[i].source->name, 0};
        if (!wf_map_is_encoded(&m->rows[i])) {
            continue;
        }
        WF_TRY(wf_emit_layer_loss(m, &m->rows[i], type, &one.loss, err));
        wf_emit_insert_worst(worst, one);
    }
    return WF_OK;
}

wf_status wf_emit_layers(const wf_mapping *m, const wf_convert_options *o, wf_error *err) {
    for (uint32_t i = 0; i < m->row_count && o->layer != NULL; i++) {
        const wf_map_row *r = &m->rows[i];
        wf_map_stored s = wf_map_stored_of(m, r, o->type);
        double loss;
        if (wf_map_is_encoded(r)) {
            WF_TRY(wf_emit_layer_loss(m, r, o->type, &loss, err));
            o->layer(o->user, &(wf_convert_layer){r->name, s.type, NULL, loss, 0});
        }
    }
    return WF_OK;
}

static wf_status add_list(wf_gguf_writer *w, const char *key, const wf_map_list *list, wf_error *err) {
    return list->count == 0 ? WF_OK : wf_gguf_add_array(w, key, WF_GGUF_STRING, list->items, list->count, err);
}

static wf_status add_image(const wf_mapping *m, wf_gguf_writer *w, wf_error *err) {
    static const char *const names[] = {"nearest", "bilinear", "bicubic"};
    if (m->channels != 3) {
        return WF_OK; /* such a model reads tensors only */
    }
    WF_TRY(wf_gguf_add_array(w, "wf.image.mean", WF_GGUF_F32, m->image.mean, 3, err));
    WF_TRY(wf_gguf_add_array(w, "wf.image.std", WF_GGUF_F32, m->image.std, 3, err));
    WF_TRY(wf_gguf_add_f32(w, "wf.image.crop_pct", m->image.crop_pct, err));
    WF_TRY(wf_gguf_add_bool(w, "wf.image.squash", m->image.squash, err));
    WF_TRY(wf_gguf_add_bool(w, "wf.image.round_long_side", m->image.round_long, err));
    return wf_gguf_add_string(w, "wf.image.resample", names[m->image.resample], err);
}

static wf_status add_golden(const wf_golden *g, wf_gguf_writer *w, wf_error *err) {
    const uint32_t shape[] = {g->n, g->c, g->h, g->w};
    WF_TRY(wf_gguf_add_string(w, "wf.golden.input", wf_golden_input(g), err));
    WF_TRY(wf_gguf_add_u32(w, "wf.golden.seed", g->seed, err));
    WF_TRY(wf_gguf_add_array(w, "wf.golden.shape", WF_GGUF_U32, shape, 4, err));
    WF_TRY(wf_gguf_add_array(w, "wf.golden.output_source", WF_GGUF_F64, g->source, g->count, err));
    WF_TRY(wf_gguf_add_array(w, "wf.golden.output_self", WF_GGUF_F64, g->self, g->count, err));
    WF_TRY(wf_gguf_add_f32(w, "wf.golden.int8_deviation", (float)g->deviation, err));
    return wf_gguf_add_f32(w, "wf.golden.loss", (float)g->loss, err);
}

static const char *own_text(const wf_mapping *m, const char *key, const char *fallback) {
    const wf_json *v = wf_json_get(m->config.own, key);
    return v != NULL && v->kind == WF_JSON_STRING ? v->string : fallback;
}

static wf_status add_metadata(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, const wf_golden *golden,
                              wf_gguf_writer *w, wf_error *err) {
    uint32_t file_type = type == WF_F16 ? 1 : type == WF_Q4_0 ? 2 : type == WF_Q8_0 ? 7 : type == WF_I8 ? 1024 : 0;
    char lower[16] = {0};
    for (int i = 0; wf_dtype_get(type)->name[i] != '\0' && i < 15; i++) {
        char c = wf_dtype_get(type)->name[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    WF_TRY(wf_gguf_add_string(w, "general.architecture", m->architecture, err));
    WF_TRY(wf_gguf_add_string(w, "general.type", "model", err));
    WF_TRY(wf_gguf_add_string(w, "general.name", own_text(m, "name", m->name != NULL ? m->name : o->source_name), err));
    WF_TRY(wf_gguf_add_string(w, "general.license", own_text(m, "license", m->license != NULL ? m->license : "not stated by the source"), err));
    WF_TRY(wf_gguf_add_u32(w, "general.file_type", file_type, err));
    WF_TRY(wf_gguf_add_u32(w, "general.quantization_version", 2, err));
    WF_TRY(wf_gguf_add_string(w, "wf.type", type == WF_I8 ? "int8" : lower, err));
    WF_TRY(wf_gguf_add_string(w, "wf.source", m->family, err));
    WF_TRY(wf_gguf_add_string(w, "wf.source.file", o->source_name, err));
    WF_TRY(wf_gguf_add_string(w, "wf.source.container", m->source->container, err));
    if (m->source->prefix_note != NULL) {
        WF_TRY(wf_gguf_add_string(w, "wf.source.state_dict", m->source->prefix_note, err));
    }
    WF_TRY(m->metadata(m, w, err));
    WF_TRY(m->vocabulary == 0 ? add_image(m, w, err) : WF_OK);
    WF_TRY(wf_map_write_meaning(m, w, err));
    WF_TRY(add_list(w, "wf.labels", &m->labels, err));
    WF_TRY(add_list(w, "wf.taps", &m->taps, err));
    WF_TRY(add_list(w, "wf.assumptions", &m->assumptions, err));
    WF_TRY(add_list(w, "wf.left_out", &m->left_out, err));
    WF_TRY(add_list(w, "wf.norm.bare", &m->change.bare_norms, err));
    WF_TRY(add_list(w, "wf.notes", &m->notes, err));
    return golden != NULL ? add_golden(golden, w, err) : WF_OK;
}

/* Declares the tensors, and wf.k: the logical row length of each tensor whose rows are padded to a block (0 = not padded). */
static wf_status declare_tensors(const wf_mapping *m, wf_dtype type, wf_gguf_writer *w, wf_error *err) {
    void *memory;
    bool padded = false;
    WF_TRY(wf_alloc_array(&memory, m->row_count, sizeof(uint32_t), "wf.k", err));
    uint32_t *k = memory;
    for (uint32_t i = 0; i < m->row_count; i++) {
        wf_map_stored s = wf_map_stored_of(m, &m->rows[i], type);
        k[i] = s.k != s.stored_k ? (uint32_t)s.k : 0;
        padded |= k[i] != 0;
    }
    wf_status status = padded ? wf_gguf_add_array(w, "wf.k", WF_GGUF_U32, k, m->row_count, err) : WF_OK;
    wf_free(memory);
    for (uint32_t i = 0; i < m->row_count && status == WF_OK; i++) {
        wf_map_stored s = wf_map_stored_of(m, &m->rows[i], type);
        uint64_t dims[2] = {s.stored_k, s.rows};
        if (s.type == WF_I8) {
            status = wf_int8_declare(m, i, w, err);
            continue;
        }
        status = wf_gguf_add_tensor(w, m->rows[i].name, s.type, wf_map_is_vector(&m->rows[i]) ? 1 : 2, dims, err);
    }
    return status;
}

typedef struct counting {
    wf_byte_sink out;
    uint64_t bytes;
} counting;

static wf_status count_and_write(void *user, const void *bytes, size_t n, wf_error *err) {
    counting *c = user;
    c->bytes += n;
    return c->out.write(c->out.user, bytes, n, err);
}

static wf_status write_data(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_gguf_writer *w, const char *phase,
                            wf_error *err) {
    for (uint32_t i = 0; i < m->row_count; i++) {
        if (o->progress != NULL) {
            o->progress(o->user, phase, i, m->row_count);
        }
        if (o->cancelled != NULL && o->cancelled(o->user)) {
            return wf_fail(err, WF_E_ABORTED, "convert", -1, "conversion was stopped; nothing was written");
        }
        WF_TRY(write_tensor(m, i, type, w, err));
    }
    return wf_gguf_write_end(w, err);
}

/* One whole file to `out`; chunks: NULL, or what goes into its header. `in_data` is set once the header is out. */
static wf_status write_file(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, const wf_golden *golden,
                            const wf_chunk_hashes *chunks, wf_byte_sink out, bool *in_data, const char *phase, wf_error *err) {
    wf_gguf_writer *w;
    WF_TRY(wf_gguf_writer_create(&w, err));
    wf_status status = chunks != NULL ? wf_gguf_add_seal(w, WF_HEADER_KEY, err) : WF_OK;
    if (status == WF_OK) {
        status = add_metadata(m, o, type, golden, w, err);
    }
    if (status == WF_OK && chunks != NULL) {
        status = wf_chunks_add_to(chunks, w, err);
    }
    if (status == WF_OK) {
        status = declare_tensors(m, type, w, err);
    }
    if (status == WF_OK) {
        status = wf_gguf_write_header(w, out, err);
        *in_data = true;
    }
    if (status == WF_OK) {
        status = write_data(m, o, type, w, phase, err);
    }
    wf_gguf_writer_free(w);
    return status;
}

static wf_status hash_file(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, wf_chunk_hashes *c, wf_error *err) {
    wf_chunks_begin(c);
    WF_TRY(write_file(m, o, type, NULL, NULL, wf_chunks_sink(c), &c->in_data, "hashing", err));
    return wf_chunks_end(c, err);
}

wf_status wf_emit(const wf_mapping *m, const wf_convert_options *o, wf_dtype type, const wf_golden *golden, wf_byte_sink out,
                  uint64_t *bytes, wf_error *err) {
    counting c = {out, 0};
    wf_byte_sink sink = {&c, count_and_write};
    bool in_data;
    wf_status status;
    if (golden == NULL) {
        status = write_file(m, o, type, NULL, NULL, sink, &in_data, "measuring", err);
    } else {
        wf_chunk_hashes chunks;
        status = hash_file(m, o, type, &chunks, err);
        if (status == WF_OK) {
            status = write_file(m, o, type, golden, &chunks, sink, &in_data, "writing", err);
        }
        wf_free(chunks.digests);
    }
    *bytes = c.bytes;
    return status;
}
