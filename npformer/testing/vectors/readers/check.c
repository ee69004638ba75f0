/* Checks six layers, written here in C, against the test vectors of npformer.

       npformer vectors OUT
       cc -std=c99 -O2 OUT/readers/check.c -lm -o check && ./check OUT

   To check your own layers, put calls of them in place of the loops below: a check takes the inputs
   of a case, and hands each of its outputs to `expect`. It ends with code 0 if every output lies
   within its bounds, 1 if not, and 2 if the files cannot be used. Layout: channels_first. */

#include "vectors.h"

static float *room_for(const Array *like) { return reserve(like->count, sizeof(float)); }

static void linear(Case *c) {
    Array x = input(c, "x"), w = input(c, "p.weight"), b = input(c, "p.bias"), dy = input(c, "dy");
    size_t outputs = w.shape[0], inputs = w.shape[1], rows = x.count / inputs;
    float *y = room_for(&dy), *dx = room_for(&x), *dw = room_for(&w), *db = room_for(&b);
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < outputs; o++) {
            float sum = b.single[o], g = dy.single[r * outputs + o];
            for (size_t i = 0; i < inputs; i++) {
                float xi = x.single[r * inputs + i], wi = w.single[o * inputs + i];
                sum += xi * wi;
                dx[r * inputs + i] += g * wi;
                dw[o * inputs + i] += g * xi;
            }
            y[r * outputs + o] = sum;
            db[o] += g;
        }
    expect(c, "y", y);
    expect(c, "dx", dx);
    expect(c, "dp.weight", dw);
    expect(c, "dp.bias", db);
}

static void conv2d(Case *c) {
    Array x = input(c, "x"), w = input(c, "p.weight"), b = input(c, "p.bias"), dy = input(c, "dy");
    long stride = (long)option(c, "stride"), padding = (long)option(c, "padding");
    long H = (long)x.shape[2], W = (long)x.shape[3], kh = (long)w.shape[2], kw = (long)w.shape[3];
    size_t at = 0, inputs = x.shape[1], outputs = w.shape[0];
    float *y = room_for(&dy), *dx = room_for(&x), *dw = room_for(&w), *db = room_for(&b);
    for (size_t n = 0; n < x.shape[0]; n++)
        for (size_t o = 0; o < outputs; o++)
            for (long i = 0; i < (long)dy.shape[2]; i++)
                for (long j = 0; j < (long)dy.shape[3]; j++, at++) {
                    float sum = b.single[o], g = dy.single[at];
                    for (size_t k = 0; k < inputs; k++)
                        for (long u = 0; u < kh; u++)
                            for (long v = 0; v < kw; v++) {
                                long row = stride * i + u - padding, column = stride * j + v - padding;
                                if (row < 0 || row >= H || column < 0 || column >= W) continue;
                                size_t from = ((n * inputs + k) * (size_t)H + (size_t)row) * (size_t)W + (size_t)column;
                                size_t by = ((o * inputs + k) * (size_t)kh + (size_t)u) * (size_t)kw + (size_t)v;
                                sum += x.single[from] * w.single[by];
                                dx[from] += g * w.single[by];
                                dw[by] += g * x.single[from];
                            }
                    y[at] = sum;
                    db[o] += g;
                }
    expect(c, "y", y);
    expect(c, "dx", dx);
    expect(c, "dp.weight", dw);
    expect(c, "dp.bias", db);
}

static void layer_norm(Case *c) {
    Array x = input(c, "x"), w = input(c, "p.weight"), b = input(c, "p.bias"), dy = input(c, "dy");
    float eps = (float)option(c, "eps"), *y = room_for(&x), *dx = room_for(&x);
    float *dw = room_for(&w), *db = room_for(&b), *x_hat = room_for(&w);
    size_t C = w.count;
    for (size_t first = 0; first < x.count; first += C) {
        float mean = 0, variance = 0, mean_g = 0, mean_gx = 0;
        for (size_t i = 0; i < C; i++) mean += x.single[first + i] / (float)C;
        for (size_t i = 0; i < C; i++) {
            float centered = x.single[first + i] - mean;
            variance += centered * centered / (float)C;
        }
        float sigma = sqrtf(variance + eps);
        for (size_t i = 0; i < C; i++) {
            float g = dy.single[first + i] * w.single[i];
            x_hat[i] = (x.single[first + i] - mean) / sigma;
            y[first + i] = x_hat[i] * w.single[i] + b.single[i];
            dw[i] += dy.single[first + i] * x_hat[i];
            db[i] += dy.single[first + i];
            mean_g += g / (float)C;
            mean_gx += g * x_hat[i] / (float)C;
        }
        for (size_t i = 0; i < C; i++)
            dx[first + i] = (dy.single[first + i] * w.single[i] - mean_g - x_hat[i] * mean_gx) / sigma;
    }
    expect(c, "y", y);
    expect(c, "dx", dx);
    expect(c, "dp.weight", dw);
    expect(c, "dp.bias", db);
}

static void softmax(Case *c) {
    Array x = input(c, "x"), dy = input(c, "dy");
    float *y = room_for(&x), *dx = room_for(&x);
    size_t N = x.shape[x.axes - 1];
    for (size_t first = 0; first < x.count; first += N) {
        float largest = x.single[first], sum = 0, mean = 0;
        for (size_t i = 0; i < N; i++) largest = fmaxf(largest, x.single[first + i]);
        for (size_t i = 0; i < N; i++) sum += y[first + i] = expf(x.single[first + i] - largest);
        for (size_t i = 0; i < N; i++) y[first + i] /= sum;
        for (size_t i = 0; i < N; i++) mean += dy.single[first + i] * y[first + i];
        for (size_t i = 0; i < N; i++) dx[first + i] = y[first + i] * (dy.single[first + i] - mean);
    }
    expect(c, "y", y);
    expect(c, "dx", dx);
}

static void gelu(Case *c) {
    Array x = input(c, "x"), dy = input(c, "dy");
    float *y = room_for(&x), *dx = room_for(&x);
    for (size_t i = 0; i < x.count; i++) {
        float v = x.single[i], below = 0.5f * (1 + erff(v * 0.70710678f));
        y[i] = v * below;
        dx[i] = dy.single[i] * (below + v * expf(-0.5f * v * v) * 0.39894228f);
    }
    expect(c, "y", y);
    expect(c, "dx", dx);
}

/* In eight bits: what is multiplied are whole numbers, so that they come out the same everywhere. */
static void linear_int8(Case *c) {
    Array x = input(c, "x"), w = input(c, "p.weight"), b = input(c, "p.bias");
    size_t outputs = w.shape[0], inputs = w.shape[1], rows = x.count / inputs;
    float *whole = room_for(&w), *scale = room_for(&b), *q = room_for(&x);
    float *step = reserve(rows, sizeof(float)), *y = reserve(rows * outputs, sizeof(float));
    float *products = reserve(rows * outputs, sizeof(float));
    for (size_t o = 0; o < outputs; o++) {
        float largest = 0;
        for (size_t i = 0; i < inputs; i++) largest = fmaxf(largest, fabsf(w.single[o * inputs + i]));
        scale[o] = (largest > 0 ? largest : 1) / 127;
        for (size_t i = 0; i < inputs; i++)
            whole[o * inputs + i] = rintf(w.single[o * inputs + i] / scale[o]);
    }
    for (size_t r = 0; r < rows; r++) {
        const float *row = x.single + r * inputs;
        float least = row[0], greatest = row[0];
        for (size_t i = 0; i < inputs; i++) least = fminf(least, row[i]), greatest = fmaxf(greatest, row[i]);
        float width = greatest - least, steps = width >= 1e-30f ? 255 / width : 0;
        step[r] = width / 255;
        for (size_t i = 0; i < inputs; i++) q[r * inputs + i] = rintf((row[i] - least) * steps);
        for (size_t o = 0; o < outputs; o++) {
            int32_t product = 0, sum = 0;
            for (size_t i = 0; i < inputs; i++) {
                product += (int32_t)q[r * inputs + i] * (int32_t)whole[o * inputs + i];
                sum += (int32_t)whole[o * inputs + i];
            }
            products[r * outputs + o] = (float)product;
            y[r * outputs + o] = ((float)product * step[r] + (float)sum * least) * scale[o] + b.single[o];
        }
    }
    expect(c, "quantized.weight", whole);
    expect(c, "quantized.scale", scale);
    expect(c, "rows.q", q);
    expect(c, "rows.step", step);
    expect(c, "products", products);
    expect(c, "y", y);
}

static const struct {
    const char *type, *layer, *label; /* type: NULL for float32 */
    void (*check)(Case *);
} CHECKS[] = {
    {NULL, "conv2d", "conv2d", conv2d},
    {NULL, "gelu", "gelu", gelu},
    {NULL, "layer_norm", "layer_norm", layer_norm},
    {NULL, "linear", "linear", linear},
    {NULL, "softmax", "softmax", softmax},
    {"int8", "linear", "linear in int8", linear_int8},
};

int main(int count, char **words) {
    char path[4096];
    size_t length, checked = 0;
    int wrong = 0;
    if (count != 2) stop("usage: check FOLDER, where `npformer vectors FOLDER` has written");
    snprintf(path, sizeof path, "%s/manifest.json", words[1]);
    char *text = (char *)read_file(path, &length);
    Json manifest = parse_json(text, length, path);
    const Json *version = member(&manifest, "version"), *types = member(&manifest, "types");
    if (strcmp(text_of(&manifest, "format"), "npformer-vectors") || !version || version->number != 1)
        stop("%s: expected test vectors of npformer, version 1", path);
    if (strcmp(text_of(&manifest, "layout"), "channels_first"))
        stop("%s: expected the layout channels_first, in which the layers here are written", path);
    for (size_t k = 0; k < sizeof CHECKS / sizeof *CHECKS; k++) {
        const Json *group = CHECKS[k].type ? member(types, CHECKS[k].type) : &manifest;
        const Json *entry = member(member(group, "layers"), CHECKS[k].layer), *cases = member(entry, "cases");
        if (!entry) continue;
        snprintf(path, sizeof path, "%s/%s", words[1], text_of(entry, "file"));
        File file = open_tensors(path);
        Case c = {CHECKS[k].label, entry, NULL, &file, 0, 0};
        for (size_t n = 0; cases && n < cases->count; n++, checked++) {
            c.manifest = &cases->items[n];
            CHECKS[k].check(&c);
        }
        printf("%s: %zu cases, %d outputs wrong, largest error %.2g of its bound\n", c.layer,
               cases ? cases->count : 0, c.wrong, c.worst);
        wrong += c.wrong;
    }
    if (!checked) stop("%s: holds no layer that is checked here", words[1]);
    return wrong ? 1 : 0;
}
