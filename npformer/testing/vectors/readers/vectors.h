/* Reads the test vectors that `npformer vectors OUT` writes. vectors.md specifies the format.

   Standard C99 and nothing else. A file that is not what it should be ends the program with code 2
   and a sentence; memory is given back when the program ends. */

#ifndef VECTORS_H
#define VECTORS_H

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *format, ...) {
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    exit(2);
}

static void *reserve(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) stop("out of memory");
    return memory;
}

static unsigned char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) stop("%s: cannot be read", path);
    long size = ftell(file);
    if (size < 0) stop("%s: cannot be read", path);
    unsigned char *data = reserve((size_t)size + 1, 1); /* ends in 0, as text does */
    rewind(file);
    if (fread(data, 1, (size_t)size, file) != (size_t)size) stop("%s: cannot be read", path);
    fclose(file);
    *length = (size_t)size;
    return data;
}

/* JSON ------------------------------------------------------------------------------------------ */

typedef struct Json {
    enum { NOTHING, TRUE, FALSE, NUMBER, TEXT, LIST, OBJECT } kind;
    double number;
    char *text;
    size_t count;       /* of the members of a list or object */
    char **keys;        /* of an object */
    struct Json *items;
} Json;

typedef struct {
    const char *at, *end, *path;
    int depth;
} Parser;

static void skip_spaces(Parser *p) {
    while (p->at < p->end && strchr(" \t\r\n", *p->at)) p->at++;
}

static int take(Parser *p, const char *word) {
    size_t length = strlen(word);
    skip_spaces(p);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length)) return 0;
    p->at += length;
    return 1;
}

static void need(Parser *p, const char *word) {
    if (!take(p, word)) stop("%s: is damaged: expected %s in its JSON", p->path, word);
}

static unsigned hexadecimal(Parser *p) {
    char digits[5] = {0};
    if (p->end - p->at < 4) stop("%s: is damaged: its JSON ends within a text", p->path);
    memcpy(digits, p->at, 4);
    p->at += 4;
    return (unsigned)strtoul(digits, NULL, 16);
}

static char *parse_text(Parser *p) {
    need(p, "\"");
    char *text = reserve((size_t)(p->end - p->at) < 65536 ? (size_t)(p->end - p->at) + 1 : 65537, 1);
    size_t n = 0;
    while (p->at < p->end && *p->at != '"') {
        if (n > 65000) stop("%s: holds a text that is too long", p->path);
        char c = *p->at++;
        if (c != '\\') {
            text[n++] = c;
            continue;
        }
        if (p->at == p->end) break;
        c = *p->at++;
        if (c == 'u') { /* as UTF-8; two halves of a pair make one letter */
            unsigned code = hexadecimal(p);
            if (code >= 0xD800 && code < 0xDC00 && take(p, "\\u"))
                code = 0x10000 + ((code - 0xD800) << 10) + (hexadecimal(p) - 0xDC00);
            if (code < 0x80) {
                text[n++] = (char)code;
            } else if (code < 0x800) {
                text[n++] = (char)(0xC0 | code >> 6);
                text[n++] = (char)(0x80 | (code & 0x3F));
            } else if (code < 0x10000) {
                text[n++] = (char)(0xE0 | code >> 12);
                text[n++] = (char)(0x80 | (code >> 6 & 0x3F));
                text[n++] = (char)(0x80 | (code & 0x3F));
            } else {
                text[n++] = (char)(0xF0 | code >> 18);
                text[n++] = (char)(0x80 | (code >> 12 & 0x3F));
                text[n++] = (char)(0x80 | (code >> 6 & 0x3F));
                text[n++] = (char)(0x80 | (code & 0x3F));
            }
        } else {
            const char *from = "nrtbf", *to = "\n\r\t\b\f", *found = strchr(from, c);
            text[n++] = found ? to[found - from] : c;
        }
    }
    need(p, "\"");
    char *result = reserve(n + 1, 1);
    memcpy(result, text, n);
    free(text);
    return result;
}

static Json parse(Parser *p) {
    Json value = {NOTHING, 0, NULL, 0, NULL, NULL};
    if (++p->depth > 64) stop("%s: its JSON is nested too deep", p->path);
    int object = take(p, "{");
    if (object || take(p, "[")) {
        const char *last = object ? "}" : "]";
        size_t room = 0;
        value.kind = object ? OBJECT : LIST;
        while (!take(p, last)) {
            if (value.count) need(p, ",");
            if (value.count == room) {
                room = room ? 2 * room : 8;
                value.items = realloc(value.items, room * sizeof *value.items);
                value.keys = realloc(value.keys, room * sizeof *value.keys);
                if (!value.items || !value.keys) stop("out of memory");
            }
            if (object) {
                value.keys[value.count] = parse_text(p);
                need(p, ":");
            }
            value.items[value.count++] = parse(p);
        }
    } else if (take(p, "null")) {
        value.kind = NOTHING;
    } else if (take(p, "true")) {
        value.kind = TRUE;
    } else if (take(p, "false")) {
        value.kind = FALSE;
    } else if (p->at < p->end && *p->at == '"') {
        value.kind = TEXT;
        value.text = parse_text(p);
    } else {
        char *after;
        value.kind = NUMBER;
        value.number = strtod(p->at, &after);
        if (after == p->at || after > p->end) stop("%s: is damaged: no JSON", p->path);
        p->at = after;
    }
    p->depth--;
    return value;
}

static Json parse_json(const char *data, size_t length, const char *path) {
    Parser parser = {data, data + length, path, 0};
    return parse(&parser);
}

/* The member of an object, or NULL. */
static const Json *member(const Json *object, const char *key) {
    if (object && object->kind == OBJECT)
        for (size_t i = 0; i < object->count; i++)
            if (!strcmp(object->keys[i], key)) return &object->items[i];
    return NULL;
}

static const char *text_of(const Json *object, const char *key) {
    const Json *found = member(object, key);
    if (!found || found->kind != TEXT) stop("the manifest has no %s where it should", key);
    return found->text;
}

/* Tensors --------------------------------------------------------------------------------------- */

typedef struct {
    const char *path;
    unsigned char *data; /* behind the header */
    size_t length;
    Json header;
} File;

typedef struct {
    size_t shape[8], count;
    int axes, whole; /* whole: an output of whole numbers, which has no bound */
    float *single;   /* of inputs */
    double *values;  /* of expected outputs and bounds */
} Array;

static File open_tensors(const char *path) {
    File file = {path, NULL, 0, {NOTHING, 0, NULL, 0, NULL, NULL}};
    size_t length;
    uint64_t header = 0;
    unsigned char *data = read_file(path, &length);
    if (length < 8) stop("%s: is no safetensors file", path);
    for (int i = 7; i >= 0; i--) header = header << 8 | data[i];
    if (header > length - 8) stop("%s: is truncated", path);
    file.header = parse_json((char *)data + 8, (size_t)header, path);
    file.data = data + 8 + header;
    file.length = length - 8 - (size_t)header;
    return file;
}

static uint64_t little_endian(const unsigned char *bytes, int count) {
    uint64_t bits = 0;
    while (count--) bits = bits << 8 | bytes[count];
    return bits;
}

static const struct {
    const char *name;
    int size, whole;
} TYPES[] = {{"F64", 8, 0}, {"F32", 4, 0}, {"F16", 2, 0}, {"BF16", 2, 0}, {"I32", 4, 1}, {"I8", 1, 1}, {"U8", 1, 1}};

static double number_of(const char *dtype, uint64_t bits) {
    double wide;
    float single;
    uint32_t half = (uint32_t)bits;
    if (!strcmp(dtype, "F64")) return memcpy(&wide, &bits, 8), wide;
    if (!strcmp(dtype, "I32")) return (double)(int32_t)half;
    if (!strcmp(dtype, "I8")) return (double)(int8_t)half;
    if (!strcmp(dtype, "U8")) return (double)half;
    if (!strcmp(dtype, "F16")) { /* a sign, 5 digits of the exponent, 10 of the fraction */
        int exponent = half >> 10 & 31, fraction = half & 1023;
        wide = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        if (exponent == 31) wide = fraction ? NAN : INFINITY;
        return half >> 15 ? -wide : wide;
    }
    if (!strcmp(dtype, "BF16")) half <<= 16; /* the upper half of an F32 */
    return memcpy(&single, &half, 4), single;
}

/* Fills an array; returns 0 if there is no such tensor. */
static int find_array(const File *file, const char *name, Array *array) {
    const Json *entry = member(&file->header, name);
    if (!entry) return 0;
    const Json *shape = member(entry, "shape"), *offsets = member(entry, "data_offsets");
    const char *dtype = text_of(entry, "dtype");
    int size = 0;
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (!strcmp(dtype, TYPES[i].name)) size = TYPES[i].size, array->whole = TYPES[i].whole;
    if (!size || !shape || shape->count > 8 || !offsets || offsets->count != 2)
        stop("%s: %s: expected a tensor of a known type with at most 8 axes", file->path, name);
    array->axes = (int)shape->count;
    array->count = 1;
    for (size_t i = 0; i < shape->count; i++)
        array->count *= array->shape[i] = (size_t)shape->items[i].number;
    size_t first = (size_t)offsets->items[0].number, last = (size_t)offsets->items[1].number;
    if (last > file->length || first > last || last - first != array->count * (size_t)size)
        stop("%s: %s: its shape and its bytes do not fit together", file->path, name);
    array->values = reserve(array->count, sizeof *array->values);
    array->single = reserve(array->count, sizeof *array->single);
    for (size_t i = 0; i < array->count; i++) {
        uint64_t bits = little_endian(file->data + first + i * (size_t)size, size);
        array->values[i] = number_of(dtype, bits);
        array->single[i] = (float)array->values[i];
    }
    return 1;
}

/* Cases ----------------------------------------------------------------------------------------- */

typedef struct {
    const char *layer;
    const Json *entry;    /* of the layer in the manifest */
    const Json *manifest; /* of the case */
    const File *file;
    int wrong;            /* outputs that are off */
    double worst;         /* largest error seen, relative to its bound */
} Case;

static Array find_in_case(const Case *c, const char *before, const char *name) {
    Array array;
    char full[256];
    snprintf(full, sizeof full, "%s/%s%s", text_of(c->manifest, "case"), before, name);
    if (!find_array(c->file, full, &array)) stop("%s: has no tensor %s", c->file->path, full);
    return array;
}

static Array input(const Case *c, const char *name) { return find_in_case(c, "", name); }

static double option(const Case *c, const char *name) {
    const Json *found = member(member(c->manifest, "options"), name);
    if (!found || found->kind != NUMBER) stop("%s has no option %s", c->layer, name);
    return found->number;
}

/* Whether all numbers are within their bounds of those expected, whole ones equal to them;
   `worst` gets the largest ratio. */
static int within(const float *found, const Array *expected, const Array *bound, size_t *where,
                  double *worst) {
    int right = 1;
    *worst = 0;
    *where = 0;
    for (size_t i = 0; i < expected->count; i++) {
        double error = fabs((double)found[i] - expected->values[i]);
        double ratio = expected->whole ? (error == 0 ? 0 : INFINITY) : error / bound->values[i];
        if (!(ratio <= 1)) right = 0; /* so that NaN is wrong */
        if (!(ratio <= *worst)) *worst = ratio, *where = i;
    }
    return right;
}

/* Compares an output with what is expected; names the typical mistake that gives these numbers. */
static void expect(Case *c, const char *name, const float *found) {
    Array expected = find_in_case(c, "", name);
    Array bound = expected.whole ? expected : find_in_case(c, "bound/", name);
    size_t where, ignored;
    double worst, ratio;
    int right = within(found, &expected, &bound, &where, &worst);
    if (!(worst <= c->worst)) c->worst = worst;
    if (right) return;
    c->wrong++;
    printf("%s, case %s (%s): %s is wrong\n", c->layer, text_of(c->manifest, "case"),
           text_of(c->manifest, "comment"), name);
    printf("    number %zu is %.9g; expected %.9g, and at most %.2g from it\n", where,
           (double)found[where], expected.values[where], expected.whole ? 0 : bound.values[where]);
    const Json *answers = member(c->manifest, "wrong"), *known = member(c->entry, "mistakes");
    for (size_t i = 0; answers && i < answers->count; i++) {
        Array answer;
        char full[256];
        size_t number = (size_t)strtoul(answers->keys[i], NULL, 10);
        snprintf(full, sizeof full, "%s/wrong/%s/%s", text_of(c->manifest, "case"),
                 answers->keys[i], name);
        if (find_array(c->file, full, &answer) && known && number < known->count &&
            within(found, &answer, &bound, &ignored, &ratio))
            printf("    this is the answer of a mistake, %s: %s\n",
                   text_of(&known->items[number], "kind"), text_of(&known->items[number], "hint"));
    }
}

#endif
