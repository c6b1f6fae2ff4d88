// Pooling of windows over 1 to 3 spatial axes of channels-last memory: (sample, 3 axes, channel).
//
// Macros fix the windows, so that loops over them unroll and divisions are by constants: for each
// axis K elements, STRIDE apart from window to window, PADDING before the first, DILATION within a
// window. A thread takes WIDTH neighbouring channels. Gradients are gathered: each input element
// asks the few windows that hold it, so nothing is added atomically, and every run gives the same
// bits.
#include "common.cuh"

struct Sizes {  // of the input along the three axes, the windows along them, and the channels
    Count in0, in1, in2, out0, out1, out2, channels;
};

struct Place {
    Count sample, at0, at1, at2, channel;
};

// Which element (or pack of them) this is, in an array with these axes.
__device__ __forceinline__ Place place(Count i, Count n0, Count n1, Count n2, Count channels) {
    Place p;
    const Count packs = channels / WIDTH;
    p.channel = i % packs * WIDTH;
    i /= packs;
    p.at2 = i % n2;
    i /= n2;
    p.at1 = i % n1;
    i /= n1;
    p.at0 = i % n0;
    p.sample = i / n0;
    return p;
}

__device__ __forceinline__ Count in_input(const Sizes& n, const Place& p, Count a, Count b,
                                          Count c) {
    return (((p.sample * n.in0 + a) * n.in1 + b) * n.in2 + c) * n.channels + p.channel;
}

__device__ __forceinline__ Count in_output(const Sizes& n, const Place& p, Count a, Count b,
                                           Count c) {
    return (((p.sample * n.out0 + a) * n.out1 + b) * n.out2 + c) * n.channels + p.channel;
}

// Call f(input place, number in the window) for each element of a window that is not padding, in
// row-major order.
template <typename Function>
__device__ __forceinline__ void each_element(const Sizes& n, const Place& window, Function f) {
    const Count from0 = window.at0 * STRIDE0 - PADDING0, from1 = window.at1 * STRIDE1 - PADDING1,
                from2 = window.at2 * STRIDE2 - PADDING2;
    for (int k0 = 0; k0 < K0; ++k0)
        for (int k1 = 0; k1 < K1; ++k1)
            for (int k2 = 0; k2 < K2; ++k2) {
                const Count a = from0 + k0 * DILATION0, b = from1 + k1 * DILATION1,
                            c = from2 + k2 * DILATION2;
                if (a >= 0 && a < n.in0 && b >= 0 && b < n.in1 && c >= 0 && c < n.in2)
                    f(in_input(n, window, a, b, c), (k0 * K1 + k1) * K2 + k2);
            }
}

// The windows along one axis that reach to a place: from the first to the last.
__device__ __forceinline__ Count first_window(Count at, int k, int stride, int padding,
                                              int dilation) {
    const Count before = at + padding - (k - 1) * dilation;
    return before <= 0 ? 0 : (before + stride - 1) / stride;
}

__device__ __forceinline__ Count last_window(Count at, int stride, int padding, Count windows) {
    const Count last = (at + padding) / stride;
    return last < windows ? last : windows - 1;
}

// Call f(window) for each window that holds an input element.
template <typename Function>
__device__ __forceinline__ void each_window(const Sizes& n, const Place& p, Function f) {
    const Count last0 = last_window(p.at0, STRIDE0, PADDING0, n.out0),
                last1 = last_window(p.at1, STRIDE1, PADDING1, n.out1),
                last2 = last_window(p.at2, STRIDE2, PADDING2, n.out2);
    for (Count a = first_window(p.at0, K0, STRIDE0, PADDING0, DILATION0); a <= last0; ++a)
        for (Count b = first_window(p.at1, K1, STRIDE1, PADDING1, DILATION1); b <= last1; ++b)
            for (Count c = first_window(p.at2, K2, STRIDE2, PADDING2, DILATION2); c <= last2; ++c) {
                const bool between = (p.at0 + PADDING0 - a * STRIDE0) % DILATION0 ||
                                     (p.at1 + PADDING1 - b * STRIDE1) % DILATION1 ||
                                     (p.at2 + PADDING2 - c * STRIDE2) % DILATION2;
                if (!between) f(Place{p.sample, a, b, c, p.channel});
            }
}

// Which number in a window an input element has.
__device__ __forceinline__ int number_in(const Place& window, const Place& p) {
    const Count k0 = (p.at0 + PADDING0 - window.at0 * STRIDE0) / DILATION0,
                k1 = (p.at1 + PADDING1 - window.at1 * STRIDE1) / DILATION1,
                k2 = (p.at2 + PADDING2 - window.at2 * STRIDE2) / DILATION2;
    return (int)((k0 * K1 + k1) * K2 + k2);
}

typedef Items<STORAGE, WIDTH> Values;

// all: whether averages count the padding
#define SIZES const Sizes n = {in0, in1, in2, out0, out1, out2, channels}
#define SIZE_PARAMETERS                                                                  \
    Count in0, Count in1, Count in2, Count out0, Count out1, Count out2, Count channels, \
        Count count, int all

KERNEL max_pool(const STORAGE* __restrict__ x, STORAGE* __restrict__ out, SIZE_PARAMETERS) {
    SIZES;
    for (Count i = thread_number(); i < count; i += thread_count()) {
        const Place window = place(i, out0, out1, out2, channels);
        float most[WIDTH];
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) most[j] = Largest::start();
        each_element(n, window, [&](Count at, int) {
            const Values found = load_items<WIDTH>(x + at);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) most[j] = Largest()(most[j], value(found.items[j]));
        });
        Values result;
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) store(result.items[j], most[j]);
        store_items(out + i * WIDTH, result);
    }
}

// The gradient of each window goes to its first maximum. An element that equals the maximum, which
// one in a window does, looks whether one before it does too.
KERNEL max_pool_input(const STORAGE* __restrict__ g, const STORAGE* __restrict__ x,
                      const STORAGE* __restrict__ maxima, STORAGE* __restrict__ out,
                      SIZE_PARAMETERS) {
    SIZES;
    for (Count i = thread_number(); i < count; i += thread_count()) {
        const Place p = place(i, in0, in1, in2, channels);
        const Values own = load_items<WIDTH>(x + i * WIDTH);
        float sums[WIDTH] = {};
        each_window(n, p, [&](const Place& window) {
            const Count at = in_output(n, window, window.at0, window.at1, window.at2);
            const Values most = load_items<WIDTH>(maxima + at);
            bool hit[WIDTH], any = false;
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j)
                any |= hit[j] = value(own.items[j]) == value(most.items[j]);
            if (!any) return;
            const int number = number_in(window, p);
            each_element(n, window, [&](Count before, int other) {
                if (other >= number) return;
                const Values found = load_items<WIDTH>(x + before);
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j)
                    hit[j] = hit[j] && value(found.items[j]) != value(most.items[j]);
            });
            const Values along = load_items<WIDTH>(g + at);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) sums[j] += hit[j] ? value(along.items[j]) : 0.0f;
        });
        Values result;
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) store(result.items[j], sums[j]);
        store_items(out + i * WIDTH, result);
    }
}

// What stands in `values` where x has the first maximum of each window.
KERNEL max_pool_pick(const STORAGE* __restrict__ values, const STORAGE* __restrict__ x,
                     const STORAGE* __restrict__ maxima, STORAGE* __restrict__ out,
                     SIZE_PARAMETERS) {
    SIZES;
    for (Count i = thread_number(); i < count; i += thread_count()) {
        const Place window = place(i, out0, out1, out2, channels);
        const Values most = load_items<WIDTH>(maxima + i * WIDTH);
        float picked[WIDTH] = {};
        bool free[WIDTH];
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) free[j] = true;
        each_element(n, window, [&](Count at, int) {
            const Values found = load_items<WIDTH>(x + at),
                         candidate = load_items<WIDTH>(values + at);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j)
                if (free[j] && value(found.items[j]) == value(most.items[j])) {
                    picked[j] = value(candidate.items[j]);
                    free[j] = false;
                }
        });
        Values result;
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) store(result.items[j], picked[j]);
        store_items(out + i * WIDTH, result);
    }
}

// By how many elements the sum of a window is divided, along one axis: those within the padding, or
// (without all) those within the input.
__device__ __forceinline__ Count counted(Count window, Count in, int k, int stride, int padding,
                                         int all) {
    const Count start = window * stride - padding, margin = all ? padding : 0;
    const Count end = start + k < in + margin ? start + k : in + margin;
    return end - (start > -margin ? start : -margin);
}

__device__ __forceinline__ float share(const Sizes& n, const Place& window, int all) {
    return 1.0f / (float)(counted(window.at0, n.in0, K0, STRIDE0, PADDING0, all) *
                          counted(window.at1, n.in1, K1, STRIDE1, PADDING1, all) *
                          counted(window.at2, n.in2, K2, STRIDE2, PADDING2, all));
}

KERNEL avg_pool(const STORAGE* __restrict__ x, STORAGE* __restrict__ out, SIZE_PARAMETERS) {
    SIZES;
    for (Count i = thread_number(); i < count; i += thread_count()) {
        const Place window = place(i, out0, out1, out2, channels);
        float sums[WIDTH] = {};
        each_element(n, window, [&](Count at, int) {
            const Values found = load_items<WIDTH>(x + at);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) sums[j] += value(found.items[j]);
        });
        const float scale = share(n, window, all);
        Values result;
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) store(result.items[j], sums[j] * scale);
        store_items(out + i * WIDTH, result);
    }
}

KERNEL avg_pool_input(const STORAGE* __restrict__ g, STORAGE* __restrict__ out, SIZE_PARAMETERS) {
    SIZES;
    for (Count i = thread_number(); i < count; i += thread_count()) {
        const Place p = place(i, in0, in1, in2, channels);
        float sums[WIDTH] = {};
        each_window(n, p, [&](const Place& window) {
            const Values found =
                load_items<WIDTH>(g + in_output(n, window, window.at0, window.at1, window.at2));
            const float scale = share(n, window, all);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) sums[j] += value(found.items[j]) * scale;
        });
        Values result;
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) store(result.items[j], sums[j]);
        store_items(out + i * WIDTH, result);
    }
}
