/* JSON reader (RFC 8259), recursive descent into an arena tree. Strict: UTF-8 is validated, lone
   surrogates, NUL, raw control characters, trailing commas and bytes behind the value are errors; a
   byte order mark is skipped. Linear in the text but for the duplicate-key check, which sorts (O(k
   log k) for an object of k keys). */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/decimal.h"
#include "format/json.h"
#include "format/sort.h"

enum { DEEPEST = 64, LONGEST_NUMBER = 400 };
#define LONGEST_TEXT (UINT64_C(1) << 30)

typedef struct parser {
    wf_arena *arena;
    const char *text;
    size_t n, at;
    const char *where;
    wf_error *err;
    int depth;
} parser;

static wf_status fail(parser *p, const char *problem) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < p->at && i < p->n; i++) {
        column = p->text[i] == '\n' ? 1 : column + 1;
        line += p->text[i] == '\n';
    }
    return wf_fail(p->err, WF_E_FORMAT, p->where, (int64_t)p->at, "%s, line %zu, column %zu: %s",
                   p->where, line, column, problem);
}

static wf_status no_memory(parser *p) {
    return wf_fail(p->err, WF_E_MEMORY, p->where, (int64_t)p->at,
                   "no memory to read %s (%zu bytes of JSON); close other programs", p->where,
                   p->n);
}

static int peek(const parser *p) {
    return p->at < p->n ? (unsigned char)p->text[p->at] : -1;
}

static void skip_space(parser *p) {
    while (p->at < p->n && (p->text[p->at] == ' ' || p->text[p->at] == '\t' ||
                            p->text[p->at] == '\n' || p->text[p->at] == '\r')) {
        p->at++;
    }
}

/* ---- strings ---- */

static int hex_value(int c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits behind \u; -1 when they are not there. */
static int take_hex4(parser *p) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(peek(p));
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
        p->at++;
    }
    return value;
}

static size_t put_utf8(char *dst, uint32_t c) {
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xc0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xe0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 63));
        dst[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    dst[0] = (char)(0xf0 | c >> 18);
    dst[1] = (char)(0x80 | (c >> 12 & 63));
    dst[2] = (char)(0x80 | (c >> 6 & 63));
    dst[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Bytes of the well-formed UTF-8 sequence at s, 0 when it is not one (overlong, surrogate, beyond
 * U+10FFFF, cut off). */
static size_t utf8_bytes(const unsigned char *s, size_t left) {
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : n;
}

static wf_status take_escape(parser *p, char *dst, size_t *length) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    int c = peek(p);
    p->at++;
    const char *known = c > 0 ? strchr(names, c) : NULL;
    if (known != NULL) {
        dst[(*length)++] = values[known - names];
        return WF_OK;
    }
    if (c != 'u') {
        return fail(p, "an unknown escape in a string; legal are \\\" \\\\ \\/ \\b \\f \\n \\r \\t "
                       "and \\uXXXX");
    }
    int unit = take_hex4(p);
    if (unit < 0) {
        return fail(p, "\\u needs four hexadecimal digits");
    }
    if (unit == 0) {
        return fail(p, "\\u0000 in a string is not accepted; remove it");
    }
    uint32_t code = (uint32_t)unit;
    if (code >= 0xd800 && code < 0xe000) {
        int low = -1;
        if (code < 0xdc00 && p->n - p->at >= 2 && memcmp(p->text + p->at, "\\u", 2) == 0) {
            p->at += 2;
            low = take_hex4(p);
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return fail(p, "half of a surrogate pair in a string; a pair is \\uD800-\\uDBFF, then "
                           "\\uDC00-\\uDFFF");
        }
        code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    }
    *length += put_utf8(dst + *length, code);
    return WF_OK;
}

/* `at` stands behind the opening quote. Decoding never lengthens, so the raw length is room enough.
 */
static wf_status take_string(parser *p, const char **out, size_t *out_length) {
    size_t raw = p->at;
    while (raw < p->n && p->text[raw] != '"') {
        raw += p->text[raw] == '\\' ? 2 : 1;
    }
    if (raw >= p->n) {
        return fail(p, "a string that never ends; a closing \" is missing");
    }
    char *dst = wf_arena_alloc(p->arena, raw - p->at + 1);
    if (dst == NULL) {
        return no_memory(p);
    }
    size_t length = 0;
    while (p->text[p->at] != '"') {
        unsigned char c = (unsigned char)p->text[p->at];
        if (c == '\\') {
            p->at++;
            WF_TRY(take_escape(p, dst, &length));
            continue;
        }
        if (c < 0x20) {
            return fail(p, "a control character in a string; write it as \\u00XX");
        }
        size_t n = utf8_bytes((const unsigned char *)p->text + p->at, p->n - p->at);
        if (n == 0) {
            return fail(p, "bytes that are not UTF-8; save the file as UTF-8");
        }
        memcpy(dst + length, p->text + p->at, n);
        length += n;
        p->at += n;
    }
    p->at++;
    *out = dst;
    *out_length = length;
    return WF_OK;
}

/* ---- numbers ---- */

static size_t skip_digits(parser *p) {
    size_t start = p->at;
    while (peek(p) >= '0' && peek(p) <= '9') {
        p->at++;
    }
    return p->at - start;
}

static wf_status take_number(parser *p, double *out) {
    size_t start = p->at;
    if (peek(p) == '-') {
        p->at++;
    }
    int first = peek(p);
    size_t whole = skip_digits(p);
    if (whole == 0 || (first == '0' && whole > 1)) {
        return fail(p, "a number without digits or with a leading zero");
    }
    if (peek(p) == '.') {
        p->at++;
        if (skip_digits(p) == 0) {
            return fail(p, "digits are missing behind the decimal point");
        }
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') {
            p->at++;
        }
        if (skip_digits(p) == 0) {
            return fail(p, "digits are missing in the exponent");
        }
    }
    size_t n = p->at - start;
    if (n > LONGEST_NUMBER) {
        return fail(p, "a number of more than 400 characters");
    }
    *out = wf_decimal_parse(p->text + start, n, NULL);
    return isfinite(*out) ? WF_OK : fail(p, "a number too large for a double");
}

/* ---- values ---- */

static int by_key(const void *context, uint32_t a, uint32_t b) {
    const wf_json *const *children = context;
    return strcmp(children[a]->key, children[b]->key);
}

static wf_status check_keys(parser *p, const wf_json *object) {
    if (object->count < 2) {
        return WF_OK;
    }
    void *children_block, *order_block;
    WF_TRY(wf_alloc_array(&children_block, object->count, sizeof(wf_json *), "JSON keys", p->err));
    wf_status s =
        wf_alloc_array(&order_block, object->count, sizeof(uint32_t), "JSON keys", p->err);
    const wf_json **children = children_block;
    uint32_t *order = order_block;
    if (s == WF_OK) {
        uint32_t n = 0;
        for (const wf_json *c = object->first; c != NULL; c = c->next, n++) {
            children[n] = c;
            order[n] = n;
        }
        wf_sort_indices(order, n, by_key, children);
        for (uint32_t i = 1; i < n && s == WF_OK; i++) {
            const char *key = children[order[i]]->key;
            if (strcmp(children[order[i - 1]]->key, key) == 0) {
                s = wf_fail(p->err, WF_E_FORMAT, key, (int64_t)p->at,
                            "%s: the key \"%s\" appears twice in one object; remove one of the two",
                            p->where, key);
            }
        }
    }
    wf_free(children);
    wf_free(order);
    return s;
}

static wf_status take_value(parser *p, wf_json *v);

/* The children of an array or object; `at` stands behind the opening bracket. */
static wf_status take_children(parser *p, wf_json *v, char closing) {
    wf_json **link = &v->first;
    if (++p->depth > DEEPEST) {
        return fail(p, "more than 64 levels of nesting");
    }
    skip_space(p);
    if (peek(p) == closing) {
        p->at++;
        p->depth--;
        return WF_OK;
    }
    for (;;) {
        wf_json *child = wf_arena_alloc(p->arena, sizeof *child);
        if (child == NULL) {
            return no_memory(p);
        }
        if (closing == '}') {
            size_t length;
            skip_space(p);
            if (peek(p) != '"') {
                return fail(p, "a key in double quotes is expected here");
            }
            p->at++;
            WF_TRY(take_string(p, &child->key, &length));
            skip_space(p);
            if (peek(p) != ':') {
                return fail(p, "a colon is expected behind the key");
            }
            p->at++;
        }
        WF_TRY(take_value(p, child));
        *link = child;
        link = &child->next;
        v->count++;
        skip_space(p);
        int c = peek(p);
        if (c != ',' && c != closing) {
            return fail(p, closing == '}' ? "a comma or } is expected here"
                                          : "a comma or ] is expected here");
        }
        p->at++;
        if (c == closing) {
            p->depth--;
            return closing == '}' ? check_keys(p, v) : WF_OK;
        }
    }
}

static bool take_word(parser *p, const char *word) {
    size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->text + p->at, word, n) != 0) {
        return false;
    }
    p->at += n;
    return true;
}

static wf_status take_value(parser *p, wf_json *v) {
    skip_space(p);
    switch (peek(p)) {
    case '{':
        p->at++;
        v->kind = WF_JSON_OBJECT;
        return take_children(p, v, '}');
    case '[':
        p->at++;
        v->kind = WF_JSON_ARRAY;
        return take_children(p, v, ']');
    case '"':
        p->at++;
        v->kind = WF_JSON_STRING;
        return take_string(p, &v->string, &v->length);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9': v->kind = WF_JSON_NUMBER; return take_number(p, &v->number);
    case -1: return fail(p, "the text ends where a value is expected: it is empty or was cut off");
    default: break;
    }
    if (take_word(p, "null")) {
        v->kind = WF_JSON_NULL;
        return WF_OK;
    }
    v->kind = WF_JSON_BOOL;
    v->boolean = take_word(p, "true");
    if (v->boolean || take_word(p, "false")) {
        return WF_OK;
    }
    return fail(p,
                "a value is expected here: an object, array, string, number, true, false or null");
}

wf_status wf_json_parse(wf_arena *arena, const char *text, size_t n, const char *where,
                        wf_json **out, wf_error *err) {
    parser p = {arena, text, n, 0, where, err, 0};
    *out = NULL;
    if (n > LONGEST_TEXT) {
        return wf_fail(err, WF_E_FORMAT, where, -1,
                       "%s: more than 1 GiB of JSON cannot be right; check the file", where);
    }
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        p.at = 3;
    }
    wf_json *root = wf_arena_alloc(arena, sizeof *root);
    if (root == NULL) {
        return no_memory(&p);
    }
    WF_TRY(take_value(&p, root));
    skip_space(&p);
    if (p.at != n) {
        return fail(&p, "there is more text behind the end of the value");
    }
    *out = root;
    return WF_OK;
}

const wf_json *wf_json_get(const wf_json *object, const char *key) {
    if (object == NULL || object->kind != WF_JSON_OBJECT) {
        return NULL;
    }
    for (const wf_json *c = object->first; c != NULL; c = c->next) {
        if (strcmp(c->key, key) == 0) {
            return c;
        }
    }
    return NULL;
}

const wf_json *wf_json_at(const wf_json *array, size_t i) {
    const wf_json *c = array != NULL && array->kind == WF_JSON_ARRAY ? array->first : NULL;
    while (c != NULL && i-- > 0) {
        c = c->next;
    }
    return c;
}

bool wf_json_to_u64(const wf_json *v, unsigned long long *out) {
    if (v == NULL || v->kind != WF_JSON_NUMBER ||
        !(v->number >= 0 && v->number <= 9007199254740992.0) || v->number != floor(v->number)) {
        return false;
    }
    *out = (unsigned long long)v->number;
    return true;
}
