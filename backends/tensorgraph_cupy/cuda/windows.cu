// Windows of channels-last images as the rows of a matrix, and back: a convolution is then a
// product.
//
// A row holds what one window sees: for each group of channels, for each element of the filter, the
// channels of the group. A 3x3 filter copies each pixel nine times: that is the price, in memory,
// of a convolution that needs nothing but a product of matrices.
//
// Macros fix the windows for each axis, so that divisions are by constants: K elements, STRIDE
// apart from window to window, PADDING before the first, DILATION within a window. A thread takes
// WIDTH neighbouring channels of a group.
#include "common.cuh"

// The rows of the matrix: zero where a window reaches beyond the image.
KERNEL gather_windows(const STORAGE* __restrict__ images, STORAGE* __restrict__ rows, Count in0,
                      Count in1, Count in2, Count out0, Count out1, Count out2, Count groups,
                      Count channels, Count packs) {
    for (Count i = thread_number(); i < packs; i += thread_count()) {
        Count rest = i;
        const Count channel = rest % (channels / WIDTH) * WIDTH;
        rest /= channels / WIDTH;
        const Count k2 = rest % K2, k1 = rest / K2 % K1, k0 = rest / (K2 * K1) % K0;
        rest /= K2 * K1 * K0;
        const Count group = rest % groups;
        rest /= groups;
        const Count at2 = rest % out2 * STRIDE2 - PADDING2 + k2 * DILATION2;
        rest /= out2;
        const Count at1 = rest % out1 * STRIDE1 - PADDING1 + k1 * DILATION1;
        rest /= out1;
        const Count at0 = rest % out0 * STRIDE0 - PADDING0 + k0 * DILATION0;
        const Count sample = rest / out0;
        Items<STORAGE, WIDTH> seen;
        if (at0 >= 0 && at0 < in0 && at1 >= 0 && at1 < in1 && at2 >= 0 && at2 < in2) {
            const Count pixel = ((sample * in0 + at0) * in1 + at1) * in2 + at2;
            seen = load_items<WIDTH>(images + (pixel * groups + group) * channels + channel);
        } else {
            for (int j = 0; j < WIDTH; ++j) store(seen.items[j], 0.0f);
        }
        store_items(rows + i * WIDTH, seen);
    }
}

// Which window sees a place along one axis through the k-th element of the filter; -1 for none.
__device__ __forceinline__ Count window(Count at, Count k, Count n, int stride, int padding,
                                        int dilation) {
    const Count from = at + padding - k * dilation;
    return from >= 0 && from % stride == 0 && from / stride < n ? from / stride : -1;
}

// The sum of all that windows hold of each pixel. Each pixel asks the windows that see it, so
// nothing is added atomically, and every run gives the same bits. Rows are float, whatever images
// are.
KERNEL sum_windows(const float* __restrict__ rows, STORAGE* __restrict__ images, Count in0,
                   Count in1, Count in2, Count out0, Count out1, Count out2, Count groups,
                   Count channels, Count packs) {
    for (Count i = thread_number(); i < packs; i += thread_count()) {
        Count rest = i;
        const Count channel = rest % (channels / WIDTH) * WIDTH;
        rest /= channels / WIDTH;
        const Count group = rest % groups;
        rest /= groups;
        const Count at2 = rest % in2, at1 = rest / in2 % in1;
        rest /= in2 * in1;
        const Count at0 = rest % in0, sample = rest / in0;
        float sums[WIDTH] = {};
        for (Count k0 = 0; k0 < K0; ++k0) {
            const Count w0 = window(at0, k0, out0, STRIDE0, PADDING0, DILATION0);
            if (w0 < 0) continue;
            for (Count k1 = 0; k1 < K1; ++k1) {
                const Count w1 = window(at1, k1, out1, STRIDE1, PADDING1, DILATION1);
                if (w1 < 0) continue;
                for (Count k2 = 0; k2 < K2; ++k2) {
                    const Count w2 = window(at2, k2, out2, STRIDE2, PADDING2, DILATION2);
                    if (w2 < 0) continue;
                    const Count row = ((sample * out0 + w0) * out1 + w1) * out2 + w2;
                    const Count element = (k0 * K1 + k1) * K2 + k2;
                    const Count part = (row * groups + group) * (K0 * K1 * K2) + element;
                    const auto held = load_items<WIDTH>(rows + part * channels + channel);
                    for (int j = 0; j < WIDTH; ++j) sums[j] += held.items[j];
                }
            }
        }
        Items<STORAGE, WIDTH> out;
        for (int j = 0; j < WIDTH; ++j) store(out.items[j], sums[j]);
        store_items(images + i * WIDTH, out);
    }
}
