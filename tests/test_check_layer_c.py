"""C functions: what is right passes, and reading or writing outside of arrays is seen."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import pytest

from npformer.errors import ConfigError
from npformer.testing import check_layer
from npformer.testing.adapters import C

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

SOURCE = """
#include <math.h>
#include <string.h>

void layer_norm(float *y, const float *x, const float *w, const float *b, int rows, int C,
                float eps)
{
    for (int i = 0; i < rows; i++, x += C, y += C) {
        float mean = 0, variance = 0;
        for (int c = 0; c < C; c++) mean += x[c] / C;
        for (int c = 0; c < C; c++) variance += (x[c] - mean) * (x[c] - mean) / C;
        for (int c = 0; c < C; c++) y[c] = (x[c] - mean) / sqrtf(variance + eps) * w[c] + b[c];
    }
}

void softmax_short(float *y, const float *x, int rows, int C)
{
    for (int i = 0; i < rows; i++, x += C, y += C) {
        float largest = x[0], total = 0;
        for (int c = 1; c <= C; c++) if (x[c] > largest) largest = x[c];   /* one too far */
        for (int c = 0; c < C; c++) total += y[c] = expf(x[c] - largest);
        for (int c = 0; c <= C; c++) y[c] /= total;                        /* one too far */
    }
}

void relu_in_place(float *y, float *x, int count)
{
    for (int i = 0; i < count; i++) { if (x[i] < 0) x[i] = 0; y[i] = x[i]; }
}

/* Channels first, weights as PyTorch has them. */
void conv2d(double *y, const double *x, const double *w, const double *b, long B, long C, long H,
            long W, long C_out, long H_out, long W_out, long kh, long kw, long stride, long padding)
{
    for (long n = 0; n < B; n++)
    for (long o = 0; o < C_out; o++)
    for (long i = 0; i < H_out; i++)
    for (long j = 0; j < W_out; j++) {
        double total = b[o];
        for (long c = 0; c < C; c++)
        for (long u = 0; u < kh; u++)
        for (long v = 0; v < kw; v++) {
            long r = i * stride + u - padding, s = j * stride + v - padding;
            if (r >= 0 && r < H && s >= 0 && s < W)
                total += x[((n * C + c) * H + r) * W + s] * w[((o * C + c) * kh + u) * kw + v];
        }
        y[((n * C_out + o) * H_out + i) * W_out + j] = total;
    }
}

/* The scores of all heads, one query after the other. */
void attention(float *y, const float *x, const float *qkv, const float *qkv_bias, const float *proj,
               const float *proj_bias, const float *biases, int B, int N, int C, int heads, int K,
               int V, int H, int W)
{
    int wide = heads * (2 * K + V);
    for (int n = 0; n < B; n++, x += N * C, y += N * C) {
        float a[N * wide], mixed[N * heads * V], s[N];
        for (int i = 0; i < N; i++)
            for (int o = 0; o < wide; o++) {
                a[i * wide + o] = qkv_bias[o];
                for (int c = 0; c < C; c++) a[i * wide + o] += x[i * C + c] * qkv[c * wide + o];
            }
        memset(mixed, 0, sizeof mixed);
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < N; i++) {
                float *q = a + i * wide + h * (2 * K + V), largest = -INFINITY, total = 0;
                for (int j = 0; j < N; j++) {
                    float *k = a + j * wide + h * (2 * K + V) + K;
                    int dy = i / W - j / W, dx = i % W - j % W;
                    s[j] = 0;
                    for (int c = 0; c < K; c++) s[j] += q[c] * k[c];
                    s[j] = s[j] / sqrtf(K)
                         + biases[(h * H + (dy < 0 ? -dy : dy)) * W + (dx < 0 ? -dx : dx)];
                    if (s[j] > largest) largest = s[j];
                }
                for (int j = 0; j < N; j++) total += s[j] = expf(s[j] - largest);
                for (int j = 0; j < N; j++)
                    for (int c = 0; c < V; c++)
                        mixed[(i * heads + h) * V + c] +=
                            s[j] / total * a[j * wide + h * (2 * K + V) + 2 * K + c];
            }
        for (int i = 0; i < N; i++)
            for (int c = 0; c < C; c++) {
                y[i * C + c] = proj_bias[c];
                for (int o = 0; o < heads * V; o++)
                    y[i * C + c] += mixed[i * heads * V + o] * proj[o * C + c];
            }
    }
}
"""

NORM = "y, x, weight, bias, rows, C, eps"
CONV = "y, x, weight, bias, B, C, H, W, C_out, H_out, W_out, kh, kw, stride, padding"
ATTENTION = (
    "y, x, qkv.weight, qkv.bias, proj.weight, proj.bias, attention_biases, "
    "B, N, C, heads, K, V, H, W"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")
    (folder / "layers.c").write_text(SOURCE, "utf-8")
    subprocess.run(
        [COMPILER, "-O2", "-shared", "-fPIC", "-o", "layers.so", "layers.c", "-lm"],
        cwd=folder, check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(folder / "layers.so"))


def test_a_layer_norm_in_c(library):
    report = check_layer("layer_norm", library.layer_norm, adapter=C(NORM))
    assert report, report
    assert report.dtype == "float32"


def test_a_convolution_in_c_with_channels_first_and_pytorchs_weights(library):
    adapter = C(CONV, "float64", "first", "torch", ctypes.c_long)
    assert check_layer("conv2d", library.conv2d, adapter=adapter)
    wrong = C(CONV, "float64", "first", "npformer", ctypes.c_long)
    assert not check_layer("conv2d", library.conv2d, adapter=wrong, seconds=0)


def test_attention_in_c(library):
    report = check_layer("attention", library.attention, adapter=C(ATTENTION))
    assert report, report
    rows = C(ATTENTION.replace("H, W", "W, H"))
    assert not check_layer("attention", library.attention, adapter=rows, seconds=0)


def test_writing_behind_the_result_is_seen(library):
    report = check_layer("softmax", library.softmax_short, adapter=C("y, x, rows, C"))
    assert not report
    assert isinstance(report.error, BufferError)
    assert "writes outside of y" in repr(report)


def test_writing_into_the_input_is_seen(library):
    report = check_layer("relu", library.relu_in_place, adapter=C("y, x, count"))
    assert not report
    assert "writes into x" in repr(report)


@pytest.mark.parametrize(
    ("signature", "words"),
    [
        (
            "y, x, weights",
            "an argument of the signature is 'weights'; expected one of x, y,",
        ),
        ("x, weight, bias", "the signature is 'x, weight, bias'; expected a list with y in it"),
    ],
)
def test_a_signature_that_does_not_fit_is_answered(library, signature, words):
    with pytest.raises(ConfigError, match=words):
        check_layer("layer_norm", library.layer_norm, adapter=C(signature))


def test_a_c_function_needs_its_signature(library):
    with pytest.raises(ConfigError, match=r"adapter is None; expected C\(signature\)"):
        check_layer("layer_norm", library.layer_norm)
