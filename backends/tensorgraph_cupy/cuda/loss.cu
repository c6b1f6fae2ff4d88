// Softmax of rows of scores, and its cross entropy with their labels, with the gradient in the same
// pass.
//
// LANES threads of a warp (a power of two) share a row of `classes` scores. A row is read up to
// three times, after the first from the cache.
#include "common.cuh"
#include "split.cuh"

#ifndef GRADIENT  // as what the gradient of scores is stored
#define GRADIENT STORAGE
#endif

template <typename Combine>
__device__ __forceinline__ float over_lanes(float x, Combine combine) {
    for (int away = LANES / 2; away > 0; away /= 2)
        x = combine(x, __shfl_xor_sync(ALL_LANES, x, away));
    return x;
}

// The largest score of a row, and the sum of exp(score - largest).
__device__ __forceinline__ void softmax_of_row(const STORAGE* row, Count classes, Count lane,
                                               float& top, float& total) {
    top = Largest::start();
    total = 0.0f;
    for (Count c = lane; c < classes; c += LANES) top = Largest()(top, value(row[c]));
    top = over_lanes(top, Largest());
    for (Count c = lane; c < classes; c += LANES) total += expf(value(row[c]) - top);
    total = over_lanes(total, Sum());
}

// How many labels count, into `counted`, which was 0.
KERNEL count_labels(const int64* __restrict__ labels, Count rows, int64 ignored, uint32* counted) {
    __shared__ float shared[32];
    float own = 0.0f;  // exact: a thread sees less than 2^24
    for (Count i = thread_number(); i < rows; i += thread_count()) own += labels[i] != ignored;
    own = over_block(own, Sum(), shared);
    if (threadIdx.x == 0) atomicAdd(counted, (uint32)own);
}

// losses: of each row (each), or their sum, divided by the number of labels that count (mean).
// gradient: of x, for the loss's own gradient g, of the shape of the loss. Either may be null.
// counted: the number of labels that count; if null, every block counts them itself.
KERNEL label_loss(const STORAGE* __restrict__ x, const int64* __restrict__ labels,
                  const uint32* __restrict__ counted, const float* __restrict__ g, float* losses,
                  GRADIENT* gradient, Count rows, Count classes, int64 ignored, int each, int mean,
                  float* parts, uint32* counters) {
    __shared__ float shared[32];
    float count = 1.0f;
    if (mean) {
        if (counted != nullptr) {
            count = (float)*counted;
        } else {
            float own = 0.0f;
            for (Count i = threadIdx.x; i < rows; i += blockDim.x) own += labels[i] != ignored;
            count = over_block(own, Sum(), shared);
        }
    }
    const Count lane = threadIdx.x % LANES, together = blockDim.x / LANES;
    float sum = 0.0f;
    for (Count first = blockIdx.x * together; first < rows; first += gridDim.x * together) {
        const Count row = first + threadIdx.x / LANES;
        const bool inside = row < rows;  // all lanes of a warp go along, for the shuffles
        const STORAGE* scores = x + (inside ? row : 0) * classes;
        float top, total;
        softmax_of_row(scores, classes, lane, top, total);
        if (!inside) continue;
        const int64 label = labels[row];
        const bool counts = label != ignored, chosen = label >= 0 && label < classes;
        if (lane == 0 && losses != nullptr) {
            float loss = chosen ? logf(total) - (value(scores[label]) - top) : NAN;
            if (!counts) loss = 0.0f;
            if (each) losses[row] = loss;
            sum += loss;
        }
        if (gradient != nullptr) {
            const float along = g[each ? row : 0] / (count > 1.0f ? count : 1.0f);
            const float scale = chosen && counts ? along : 0.0f;
            for (Count c = lane; c < classes; c += LANES) {
                const float likely = expf(value(scores[c]) - top) / total;
                store(gradient[row * classes + c], (likely - (c == label ? 1.0f : 0.0f)) * scale);
            }
        }
    }
    if (each || losses == nullptr) return;
    sum = over_block(sum, Sum(), shared);
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) parts[blockIdx.x] = sum;
        if (!comes_last(counters, gridDim.x, shared)) return;
        sum = 0.0f;
        for (uint32 i = threadIdx.x; i < gridDim.x; i += blockDim.x)
            sum += ((volatile float*)parts)[i];
        sum = over_block(sum, Sum(), shared);
    }
    if (threadIdx.x == 0) *losses = sum / (count > 0.0f ? count : NAN);
}

// softmax or its logarithm, of each row.
KERNEL softmax(const STORAGE* __restrict__ x, STORAGE* __restrict__ out, Count rows, Count classes,
               int logarithm) {
    const Count lane = threadIdx.x % LANES, together = blockDim.x / LANES;
    for (Count first = blockIdx.x * together; first < rows; first += gridDim.x * together) {
        const Count row = first + threadIdx.x / LANES;
        const bool inside = row < rows;
        const STORAGE* scores = x + (inside ? row : 0) * classes;
        float top, total;
        softmax_of_row(scores, classes, lane, top, total);
        if (!inside) continue;
        const float shift = logarithm ? logf(total) : 0.0f;
        for (Count c = lane; c < classes; c += LANES) {
            const float score = value(scores[c]) - top;
            store(out[row * classes + c], logarithm ? score - shift : expf(score) / total);
        }
    }
}
