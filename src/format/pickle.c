/* Pickle machine for protocols 2 to 5 (the opcodes that Python's C pickler writes for plain data;
   text opcodes of the old protocols, extensions and anything else are refused). Calls are never
   made: REDUCE of a torch rebuild function yields a tensor value, of OrderedDict a dict, of
   anything else an inert object; BUILD is ignored. Each opcode makes at most one value, so memory
   is linear in the file; the stack and the memo are bounded by it too. */
#include "format/pickle.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"

typedef wf_pickle_value value;

typedef struct machine {
    wf_arena *arena;
    wf_bytes in;
    value **stack;
    size_t depth, stack_capacity;
    value **memo;
    size_t memo_capacity, memo_next; /* memo_next: for MEMOIZE */
    size_t copied; /* pairs copied out of lists: these may be shared, so count them */
    const value *storages;
    wf_error *err;
} machine;

static wf_status refuse(machine *m, const char *problem) {
    return wf_fail(m->err, WF_E_FORMAT, "data.pkl", (int64_t)m->in.pos,
                   "the pickle inside the checkpoint %s (at its byte %zu): the file is damaged or "
                   "was not made by torch.save",
                   problem, m->in.pos);
}

static wf_status no_memory(machine *m) {
    return wf_fail(m->err, WF_E_MEMORY, "data.pkl", (int64_t)m->in.pos,
                   "no memory for the checkpoint's table of contents; close other programs");
}

/* ---- stack, memo, containers ---- */

/* Room for index `at`; what is new is NULL. */
static bool reserve(value ***list, size_t *capacity, size_t at) {
    if (at < *capacity) {
        return true;
    }
    size_t wanted = at + 1 < 64 ? 64 : (at + 1) * 2;
    value **bigger = wf_realloc(*list, wanted * sizeof **list);
    if (bigger == NULL) {
        return false;
    }
    memset(bigger + *capacity, 0, (wanted - *capacity) * sizeof *bigger);
    *list = bigger;
    *capacity = wanted;
    return true;
}

static wf_status push(machine *m, value *v) {
    if (v == NULL || !reserve(&m->stack, &m->stack_capacity, m->depth)) {
        return no_memory(m);
    }
    m->stack[m->depth++] = v;
    return WF_OK;
}

/* The top of the stack; NULL when it is empty or a mark. */
static value *top(machine *m) {
    value *v = m->depth != 0 ? m->stack[m->depth - 1] : NULL;
    return v != NULL && v->kind != WF_PICKLE_MARK ? v : NULL;
}

static value *pop(machine *m) {
    value *v = top(m);
    if (v != NULL) {
        m->depth--;
    }
    return v;
}

static value *make(machine *m, wf_pickle_kind kind) {
    value *v = wf_arena_alloc(m->arena, sizeof *v);
    if (v != NULL) {
        v->kind = kind;
    }
    return v;
}

static bool append(machine *m, value *list, value *item) {
    if (list->as.list.count == list->as.list.capacity) {
        size_t wanted = list->as.list.capacity < 4 ? 4 : list->as.list.capacity * 2;
        value **bigger = wf_arena_alloc(m->arena, wanted * sizeof *bigger);
        if (bigger == NULL) {
            return false;
        }
        if (list->as.list.count != 0) {
            memcpy(bigger, list->as.list.items, list->as.list.count * sizeof *bigger);
        }
        list->as.list.items = bigger;
        list->as.list.capacity = wanted;
    }
    list->as.list.items[list->as.list.count++] = item;
    return true;
}

/* A tuple, list or dict of the n values on top of the stack. */
static wf_status collect(machine *m, wf_pickle_kind kind, size_t n) {
    if (n > m->depth) {
        return refuse(m, "takes more values than it made");
    }
    value *v = make(m, kind);
    if (v == NULL) {
        return no_memory(m);
    }
    for (size_t i = m->depth - n; i < m->depth; i++) {
        if (m->stack[i]->kind == WF_PICKLE_MARK) {
            return refuse(m, "takes more values than it made");
        }
        if (!append(m, v, m->stack[i])) {
            return no_memory(m);
        }
    }
    m->depth -= n;
    return push(m, v);
}

/* Values above the last mark; false without a mark. */
static bool above_mark(machine *m, size_t *n) {
    for (*n = 0; *n < m->depth; (*n)++) {
        if (m->stack[m->depth - 1 - *n]->kind == WF_PICKLE_MARK) {
            return true;
        }
    }
    return false;
}

static wf_status collect_from_mark(machine *m, wf_pickle_kind kind) {
    size_t n;
    if (!above_mark(m, &n) || (kind == WF_PICKLE_DICT && n % 2 != 0)) {
        return refuse(m, "closes a group that it did not open");
    }
    WF_TRY(collect(m, kind, n));
    m->stack[m->depth - 2] = m->stack[m->depth - 1]; /* over the mark */
    m->depth--;
    return WF_OK;
}

/* The n values on top go into the container below them (and below a mark where `marked`). */
static wf_status extend(machine *m, size_t n, bool marked, bool pairs) {
    size_t below = n + (marked ? 1 : 0);
    if (below >= m->depth || (pairs && n % 2 != 0)) {
        return refuse(m, "fills a container that is not there");
    }
    value *container = m->stack[m->depth - 1 - below];
    bool dict = container->kind == WF_PICKLE_DICT || container->kind == WF_PICKLE_OBJECT;
    if (pairs ? !dict : container->kind != WF_PICKLE_LIST && container->kind != WF_PICKLE_OBJECT) {
        return refuse(m, "fills something that is no container");
    }
    for (size_t i = m->depth - n; i < m->depth; i++) {
        if (m->stack[i]->kind == WF_PICKLE_MARK) {
            return refuse(m, "fills a container that is not there");
        }
        if ((pairs || container->kind == WF_PICKLE_LIST) && !append(m, container, m->stack[i])) {
            return no_memory(m);
        }
    }
    m->depth -= below;
    return WF_OK;
}

static wf_status extend_from_mark(machine *m, bool pairs) {
    size_t n;
    if (!above_mark(m, &n)) {
        return refuse(m, "closes a group that it did not open");
    }
    return extend(m, n, true, pairs);
}

static wf_status put_memo(machine *m, size_t index) {
    value *v = top(m);
    if (v == NULL || index >= m->in.size) { /* each entry costs at least one byte of the file */
        return refuse(m, "remembers a value that is not there, or too many");
    }
    if (!reserve(&m->memo, &m->memo_capacity, index)) {
        return no_memory(m);
    }
    m->memo[index] = v;
    return WF_OK;
}

static wf_status get_memo(machine *m, size_t index) {
    if (index >= m->memo_capacity || m->memo[index] == NULL) {
        return refuse(m, "recalls a value that it never made");
    }
    return push(m, m->memo[index]);
}

/* ---- scalars ---- */

static wf_status push_int(machine *m, wf_pickle_kind kind, int64_t i) {
    value *v = make(m, kind);
    if (v != NULL) {
        v->as.i = i;
    }
    return push(m, v);
}

static wf_status push_string(machine *m, wf_pickle_kind kind, uint64_t n) {
    const uint8_t *p = wf_bytes_take(&m->in, n);
    if (p == NULL) {
        return refuse(m, "ends inside a string");
    }
    value *v = make(m, kind);
    if (v != NULL) {
        v->as.string.text = wf_arena_string(m->arena, (const char *)p, (size_t)n);
        v->as.string.bytes = (size_t)n;
    }
    return v != NULL && v->as.string.text != NULL ? push(m, v) : no_memory(m);
}

/* Little-endian two's complement of n bytes; beyond 64 bits an inert object (no tensor needs such a
 * number). */
static wf_status push_long(machine *m, uint64_t n) {
    const uint8_t *p = wf_bytes_take(&m->in, n);
    if (p == NULL) {
        return refuse(m, "ends inside a number");
    }
    if (n > 8) {
        return push(m, make(m, WF_PICKLE_OBJECT));
    }
    uint64_t bits = n != 0 && (p[n - 1] & 0x80) != 0 ? UINT64_MAX : 0;
    for (uint64_t i = n; i-- > 0;) {
        bits = bits << 8 | p[i];
    }
    return push_int(m, WF_PICKLE_INT, (int64_t)bits);
}

static wf_status push_float(machine *m) {
    const uint8_t *p = wf_bytes_take(&m->in, 8);
    value *v = make(m, WF_PICKLE_FLOAT);
    if (p == NULL) {
        return refuse(m, "ends inside a number");
    }
    if (v != NULL) {
        uint64_t bits = 0;
        for (int i = 0; i < 8; i++) { /* big-endian, unlike everything else */
            bits = bits << 8 | p[i];
        }
        memcpy(&v->as.f, &bits, sizeof bits);
    }
    return push(m, v);
}

/* ---- globals, calls, objects ---- */

static const char *take_line(machine *m) {
    const uint8_t *start = m->in.data + m->in.pos;
    const uint8_t *end = memchr(start, '\n', wf_bytes_left(&m->in));
    m->in.failed = end == NULL;
    if (end == NULL || memchr(start, 0, (size_t)(end - start)) != NULL) {
        return NULL;
    }
    m->in.pos += (size_t)(end - start) + 1;
    return wf_arena_string(m->arena, (const char *)start, (size_t)(end - start));
}

static wf_status push_global(machine *m, const char *module, const char *name) {
    value *v = make(m, WF_PICKLE_GLOBAL);
    if (module == NULL || name == NULL) {
        return refuse(m, "names a class that it does not spell out");
    }
    if (v != NULL) {
        v->as.global.module = module;
        v->as.global.name = name;
    }
    return push(m, v);
}

static wf_status stack_global(machine *m) {
    value *name = pop(m), *module = pop(m);
    if (name == NULL || module == NULL || name->kind != WF_PICKLE_STRING ||
        module->kind != WF_PICKLE_STRING) {
        return refuse(m, "names a class by something that is no string");
    }
    return push_global(m, module->as.string.text, name->as.string.text);
}

static bool is_global(const value *v, const char *module, const char *name) {
    return v->kind == WF_PICKLE_GLOBAL && strcmp(v->as.global.module, module) == 0 &&
           strcmp(v->as.global.name, name) == 0;
}

static bool is_dict_type(const value *v) {
    return is_global(v, "collections", "OrderedDict") ||
           is_global(v, "collections", "defaultdict") || is_global(v, "builtins", "dict") ||
           is_global(v, "__builtin__", "dict");
}

static value *argument(const value *args, size_t i, wf_pickle_kind kind) {
    return i < args->as.list.count && args->as.list.items[i]->kind == kind ? args->as.list.items[i]
                                                                           : NULL;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, …), and v3 with a dtype as its seventh
 * argument. */
static wf_status rebuild_tensor(machine *m, const value *args, bool with_dtype) {
    const value *dtype = argument(args, 6, WF_PICKLE_GLOBAL);
    value *v = make(m, WF_PICKLE_TENSOR);
    if (v == NULL) {
        return no_memory(m);
    }
    v->as.tensor.storage = argument(args, 0, WF_PICKLE_STORAGE);
    v->as.tensor.offset = argument(args, 1, WF_PICKLE_INT);
    v->as.tensor.size = argument(args, 2, WF_PICKLE_TUPLE);
    v->as.tensor.stride = argument(args, 3, WF_PICKLE_TUPLE);
    v->as.tensor.dtype = with_dtype && dtype != NULL ? dtype->as.global.name : NULL;
    if (v->as.tensor.storage == NULL || v->as.tensor.offset == NULL || v->as.tensor.size == NULL ||
        v->as.tensor.stride == NULL || (with_dtype && dtype == NULL)) {
        return refuse(m, "rebuilds a tensor from the wrong arguments");
    }
    return push(m, v);
}

/* OrderedDict([[key, value], …]), as Python 2 wrote it; without an argument the dict is filled
 * later. */
static wf_status rebuild_dict(machine *m, const value *args) {
    value *v = make(m, WF_PICKLE_DICT);
    const value *pairs = argument(args, 0, WF_PICKLE_LIST);
    if (v == NULL) {
        return no_memory(m);
    }
    m->copied += pairs != NULL ? pairs->as.list.count : 0;
    if (m->copied > m->in.size) {
        return refuse(m, "copies the same list over and over");
    }
    for (size_t i = 0; pairs != NULL && i < pairs->as.list.count; i++) {
        const value *pair = pairs->as.list.items[i];
        if ((pair->kind != WF_PICKLE_LIST && pair->kind != WF_PICKLE_TUPLE) ||
            pair->as.list.count != 2) {
            return refuse(m, "makes a dict from something that is no list of pairs");
        }
        if (!append(m, v, pair->as.list.items[0]) || !append(m, v, pair->as.list.items[1])) {
            return no_memory(m);
        }
    }
    return push(m, v);
}

static wf_status push_object(machine *m, value *type) {
    value *v = make(m, WF_PICKLE_OBJECT);
    if (v != NULL) {
        v->as.list.type = type->kind == WF_PICKLE_GLOBAL ? type : NULL;
    }
    return push(m, v);
}

static wf_status call(machine *m, value *function, const value *args) {
    if (is_global(function, "torch._tensor",
                  "_rebuild_from_type_v2")) { /* (function, type, args, state) */
        value *inner = argument(args, 0, WF_PICKLE_GLOBAL);
        const value *inner_args = argument(args, 2, WF_PICKLE_TUPLE);
        if (inner == NULL || inner_args == NULL ||
            is_global(inner, "torch._tensor", "_rebuild_from_type_v2")) {
            return refuse(m, "rebuilds a tensor from the wrong arguments");
        }
        return call(m, inner, inner_args);
    }
    if (is_global(function, "torch._utils", "_rebuild_tensor_v2") ||
        is_global(function, "torch._utils", "_rebuild_tensor")) {
        return rebuild_tensor(m, args, false);
    }
    if (is_global(function, "torch._utils", "_rebuild_tensor_v3")) {
        return rebuild_tensor(m, args, true);
    }
    if (is_global(function, "torch._utils", "_rebuild_parameter") ||
        is_global(function, "torch._utils", "_rebuild_parameter_with_state")) {
        value *tensor = argument(args, 0, WF_PICKLE_TENSOR);
        return tensor != NULL ? push(m, tensor) : push_object(m, function);
    }
    if (is_global(function, "torch", "Size") && argument(args, 0, WF_PICKLE_TUPLE) != NULL) {
        return push(m, argument(args, 0, WF_PICKLE_TUPLE));
    }
    return is_dict_type(function) ? rebuild_dict(m, args) : push_object(m, function);
}

static wf_status reduce(machine *m) {
    value *args = pop(m), *function = pop(m);
    if (args == NULL || function == NULL || args->kind != WF_PICKLE_TUPLE) {
        return refuse(m, "calls something without a tuple of arguments");
    }
    return call(m, function, args);
}

/* class, args [, keyword dict] → an instance, which stays inert. */
static wf_status new_object(machine *m, bool with_keywords) {
    value *keywords = with_keywords ? pop(m) : NULL, *args = pop(m), *type = pop(m);
    if (args == NULL || type == NULL || (with_keywords && keywords == NULL)) {
        return refuse(m, "makes an object without a class");
    }
    return is_dict_type(type) ? push(m, make(m, WF_PICKLE_DICT)) : push_object(m, type);
}

static wf_status persistent_storage(machine *m) {
    value *id = pop(m);
    if (id == NULL || id->kind != WF_PICKLE_TUPLE) {
        return refuse(m, "refers to a storage by something that is no tuple");
    }
    const value *tag = argument(id, 0, WF_PICKLE_STRING);
    value *type = argument(id, 1, WF_PICKLE_GLOBAL);
    const value *key = argument(id, 2, WF_PICKLE_STRING),
                *elements = argument(id, 4, WF_PICKLE_INT);
    if (tag != NULL && strcmp(tag->as.string.text, "module") == 0 && type != NULL) {
        return push(m, type); /* a class with its source text, as the legacy container has them */
    }
    if (tag == NULL || strcmp(tag->as.string.text, "storage") != 0 || type == NULL || key == NULL ||
        elements == NULL) {
        return refuse(m, "refers to a storage in an unknown way");
    }
    value *v = make(m, WF_PICKLE_STORAGE);
    if (v != NULL) {
        v->as.storage.type = type->as.global.name;
        v->as.storage.key = key->as.string.text;
        v->as.storage.elements = elements->as.i;
        v->as.storage.is_view = argument(id, 5, WF_PICKLE_TUPLE) != NULL;
        v->as.storage.previous = m->storages;
        m->storages = v;
    }
    return push(m, v);
}

/* ---- the opcodes ---- */

static wf_status unknown_opcode(machine *m, uint8_t opcode) {
    return wf_fail(m->err, WF_E_FORMAT, "data.pkl", (int64_t)m->in.pos - 1,
                   "the pickle inside the checkpoint uses opcode 0x%02x, which plain checkpoints "
                   "never do (at its byte %zu): "
                   "save the state dict again with torch.save, or as safetensors",
                   opcode, m->in.pos - 1);
}

static wf_status step(machine *m, uint8_t opcode) {
    static value mark = {.kind = WF_PICKLE_MARK};
    wf_bytes *in = &m->in;
    size_t n;
    switch (opcode) {
    case 0x80: /* PROTO */
        return wf_bytes_u8(in) <= 5 ? WF_OK : refuse(m, "has a protocol above 5");
    case 0x95: /* FRAME */ (void)wf_bytes_u64(in); return WF_OK;
    case '(': return push(m, &mark);
    case '0': /* POP */
        if (m->depth == 0) {
            return refuse(m, "takes more values than it made");
        }
        m->depth--;
        return WF_OK;
    case '1': /* POP_MARK */
        if (!above_mark(m, &n)) {
            return refuse(m, "closes a group that it did not open");
        }
        m->depth -= n + 1;
        return WF_OK;
    case '2': /* DUP */
        return top(m) != NULL ? push(m, top(m)) : refuse(m, "takes more values than it made");
    case 'N': return push(m, make(m, WF_PICKLE_NONE));
    case 0x88: return push_int(m, WF_PICKLE_BOOL, 1);
    case 0x89: return push_int(m, WF_PICKLE_BOOL, 0);
    case 'J': return push_int(m, WF_PICKLE_INT, (int32_t)wf_bytes_u32(in));
    case 'K': return push_int(m, WF_PICKLE_INT, wf_bytes_u8(in));
    case 'M': return push_int(m, WF_PICKLE_INT, wf_bytes_u16(in));
    case 0x8a: return push_long(m, wf_bytes_u8(in));
    case 0x8b: return push_long(m, wf_bytes_u32(in));
    case 'G': return push_float(m);
    case 'X': return push_string(m, WF_PICKLE_STRING, wf_bytes_u32(in));
    case 0x8c: return push_string(m, WF_PICKLE_STRING, wf_bytes_u8(in));
    case 0x8d: return push_string(m, WF_PICKLE_STRING, wf_bytes_u64(in));
    case 'T':
        return push_string(m, WF_PICKLE_STRING, wf_bytes_u32(in)); /* BINSTRING: Python 2's str */
    case 'U': return push_string(m, WF_PICKLE_STRING, wf_bytes_u8(in));
    case 'B': return push_string(m, WF_PICKLE_BYTES, wf_bytes_u32(in));
    case 'C': return push_string(m, WF_PICKLE_BYTES, wf_bytes_u8(in));
    case 0x8e: /* BINBYTES8, BYTEARRAY8 */
    case 0x96: return push_string(m, WF_PICKLE_BYTES, wf_bytes_u64(in));
    case ')': return push(m, make(m, WF_PICKLE_TUPLE));
    case 't': return collect_from_mark(m, WF_PICKLE_TUPLE);
    case 0x85: return collect(m, WF_PICKLE_TUPLE, 1);
    case 0x86: return collect(m, WF_PICKLE_TUPLE, 2);
    case 0x87: return collect(m, WF_PICKLE_TUPLE, 3);
    case ']': return push(m, make(m, WF_PICKLE_LIST));
    case 'l': return collect_from_mark(m, WF_PICKLE_LIST);
    case 'a': return extend(m, 1, false, false);
    case 'e': return extend_from_mark(m, false);
    case 0x8f: return push(m, make(m, WF_PICKLE_LIST)); /* EMPTY_SET */
    case 0x90: return extend_from_mark(m, false);       /* ADDITEMS */
    case 0x91: return collect_from_mark(m, WF_PICKLE_LIST);
    case '}': return push(m, make(m, WF_PICKLE_DICT));
    case 'd': return collect_from_mark(m, WF_PICKLE_DICT);
    case 's': return extend(m, 2, false, true);
    case 'u': return extend_from_mark(m, true);
    case 'q': return put_memo(m, wf_bytes_u8(in));
    case 'r': return put_memo(m, wf_bytes_u32(in));
    case 0x94: return put_memo(m, m->memo_next++);
    case 'h': return get_memo(m, wf_bytes_u8(in));
    case 'j': return get_memo(m, wf_bytes_u32(in));
    case 'c': {
        const char *module = take_line(m);
        return push_global(m, module, module != NULL ? take_line(m) : NULL);
    }
    case 0x93: return stack_global(m);
    case 'R': return reduce(m);
    case 0x81: return new_object(m, false);
    case 0x92: return new_object(m, true);
    case 'b': /* BUILD: the state is dropped */
        return pop(m) != NULL && top(m) != NULL ? WF_OK
                                                : refuse(m, "takes more values than it made");
    case 'Q': return persistent_storage(m);
    default: return unknown_opcode(m, opcode);
    }
}

static wf_status run(machine *m, value **out) {
    for (;;) {
        uint8_t opcode = wf_bytes_u8(&m->in);
        if (!m->in.failed && opcode == '.') {
            *out = top(m);
            return *out != NULL ? WF_OK : refuse(m, "ends without a value");
        }
        if (!m->in.failed) {
            WF_TRY(step(m, opcode));
        }
        if (m->in.failed) {
            return refuse(m, "ends early");
        }
    }
}

wf_status wf_pickle_load(wf_arena *arena, const uint8_t *bytes, size_t n, wf_pickle_value **out,
                         wf_error *err) {
    wf_pickle_part part;
    wf_status s = wf_pickle_load_part(arena, bytes, n, &part, err);
    *out = part.value;
    return s;
}

wf_status wf_pickle_load_part(wf_arena *arena, const uint8_t *bytes, size_t n, wf_pickle_part *out,
                              wf_error *err) {
    machine m = {arena, wf_bytes_of(bytes, n), NULL, 0, 0, NULL, 0, 0, 0, NULL, err};
    memset(out, 0, sizeof *out);
    wf_status s = run(&m, &out->value);
    out->used = m.in.pos;
    out->storages = m.storages;
    out->cut = s != WF_OK && m.in.failed;
    wf_free(m.stack);
    wf_free(m.memo);
    return s;
}

const wf_pickle_value *wf_pickle_get(const wf_pickle_value *dict, const char *key) {
    if (dict->kind != WF_PICKLE_DICT && dict->kind != WF_PICKLE_OBJECT) {
        return NULL;
    }
    for (size_t i = dict->as.list.count; i >= 2; i -= 2) {
        const value *k = dict->as.list.items[i - 2];
        if (k->kind == WF_PICKLE_STRING && strcmp(k->as.string.text, key) == 0) {
            return dict->as.list.items[i - 1];
        }
    }
    return NULL;
}
