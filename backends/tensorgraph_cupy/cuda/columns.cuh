// Reduces the middle of three axes (n0, n1, n2), the last being contiguous: sums over rows of a
// matrix, as of a channel over all places of all images.
//
// What a chain provides: SUMS, run(a, i0, i1, i2, sums), first(s), combine(s, x, y) and
// finish(a, at, sums).
//
// blockDim.x threads stand side by side, each with WIDTH columns, and blockDim.y (a power of two)
// take rows in turns. Blocks: (n0 times tiles of columns, parts of the rows).
#include "split.cuh"

// Combine the threads of a block that stand below each other; the first row of threads has the
// result. `shared` holds WIDTH numbers for each thread.
template <int WIDTH>
__device__ __forceinline__ void over_rows(float (&sums)[SUMS][WIDTH], float* shared) {
    const int own = (threadIdx.y * blockDim.x + threadIdx.x) * WIDTH;
    #pragma unroll
    for (int s = 0; s < SUMS; ++s) {
        __syncthreads();  // what was read last may be written over
        for (uint32 half = blockDim.y / 2; half > 0; half /= 2) {
            if (threadIdx.y >= half && threadIdx.y < 2 * half)
                for (int j = 0; j < WIDTH; ++j) shared[own + j] = sums[s][j];
            __syncthreads();
            if (threadIdx.y < half) {
                const int below = own + half * blockDim.x * WIDTH;
                for (int j = 0; j < WIDTH; ++j)
                    sums[s][j] = combine(s, sums[s][j], shared[below + j]);
            }
        }
    }
}

template <int WIDTH>
__device__ __forceinline__ void columns(const Arrays& a, const Workspace& workspace,
                                        float* shared) {
    const Count tiles = (a.n2 + blockDim.x * WIDTH - 1) / (blockDim.x * WIDTH);
    const Count outer = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    const Count column = (tile * blockDim.x + threadIdx.x) * WIDTH;
    const bool inside = column < a.n2;
    float sums[SUMS][WIDTH];
    #pragma unroll
    for (int s = 0; s < SUMS; ++s)
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) sums[s][j] = first(s);
    if (inside)
        #pragma unroll 4
        for (Count row = blockIdx.y * blockDim.y + threadIdx.y; row < a.n1;
             row += gridDim.y * blockDim.y)
            run<WIDTH>(a, outer, row, column, sums);
    over_rows<WIDTH>(sums, shared);

    const bool writes = inside && threadIdx.y == 0;
    const Count splits = gridDim.y;
    const Count at = outer * a.n2 + column;  // the place in each result
    if (splits > 1) {  // parts: sum, part, place
        const Count places = a.n0 * a.n2;
        if (writes)
            #pragma unroll
            for (int s = 0; s < SUMS; ++s)
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j)
                    workspace.parts[(s * splits + blockIdx.y) * places + at + j] = sums[s][j];
        if (!comes_last(workspace.counters + blockIdx.x, gridDim.y, shared)) return;
        const volatile float* parts = workspace.parts;
        #pragma unroll
        for (int s = 0; s < SUMS; ++s)
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) {
                sums[s][j] = first(s);
                if (inside)
                    for (Count part = threadIdx.y; part < splits; part += blockDim.y)
                        sums[s][j] =
                            combine(s, sums[s][j], parts[(s * splits + part) * places + at + j]);
            }
        over_rows<WIDTH>(sums, shared);
    }
    if (writes)
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) {
            float own[SUMS];
            #pragma unroll
            for (int s = 0; s < SUMS; ++s) own[s] = sums[s][j];
            finish(a, at + j, own);
        }
}
