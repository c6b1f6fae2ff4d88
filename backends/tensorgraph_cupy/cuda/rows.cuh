// Reduces the second of two axes (n0, n1), which is contiguous: sums over each row of a matrix, or
// over all of an array, which then is one row.
//
// What a chain provides: SUMS, run(a, i0, i1, sums), first(s), combine(s, x, y) and
// finish(a, at, sums).
//
// GROUP threads share a row, a warp or a whole block, and take WIDTH neighbours at a time; where
// WIDTH does not divide rows there is one row alone. Blocks: (rows, parts of each row).
#include "split.cuh"

// Combine one number of each thread of a group; all of them get the result.
template <int GROUP>
__device__ __forceinline__ float over_group(int s, float x, float* shared) {
    const auto both = [s](float x, float y) { return combine(s, x, y); };
    x = over_warp(x, both);
    return GROUP == 32 ? x : over_warps(x, both, first(s), shared);
}

template <int WIDTH, int GROUP>
__device__ __forceinline__ void rows(const Arrays& a, const Workspace& workspace, float* shared) {
    const Count row = (Count)blockIdx.x * (blockDim.x / GROUP) + threadIdx.x / GROUP;
    const int member = threadIdx.x % GROUP;
    const bool inside = row < a.n0;
    float sums[SUMS][WIDTH], total[SUMS][1];
    #pragma unroll
    for (int s = 0; s < SUMS; ++s) {
        total[s][0] = first(s);
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) sums[s][j] = first(s);
    }
    const Count member_of_all = (Count)blockIdx.y * GROUP + member,
                members = (Count)gridDim.y * GROUP;
    if (inside) {
        const Count packs = a.n1 / WIDTH;
        #pragma unroll 4
        for (Count i = member_of_all; i < packs; i += members) run<WIDTH>(a, row, i * WIDTH, sums);
        for (Count i = packs * WIDTH + member_of_all; i < a.n1; i += members)
            run<1>(a, row, i, total);
    }
    #pragma unroll
    for (int s = 0; s < SUMS; ++s) {
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) total[s][0] = combine(s, total[s][0], sums[s][j]);
        total[s][0] = over_group<GROUP>(s, total[s][0], shared);
    }
    const Count splits = gridDim.y;
    if (splits > 1) {  // parts: sum, row, part
        if (inside && member == 0)
            #pragma unroll
            for (int s = 0; s < SUMS; ++s)
                workspace.parts[(s * a.n0 + row) * splits + blockIdx.y] = total[s][0];
        if (!comes_last(workspace.counters + blockIdx.x, gridDim.y, shared)) return;
        const volatile float* parts = workspace.parts;
        #pragma unroll
        for (int s = 0; s < SUMS; ++s) {
            total[s][0] = first(s);
            if (inside)
                for (Count part = member; part < splits; part += GROUP)
                    total[s][0] = combine(s, total[s][0], parts[(s * a.n0 + row) * splits + part]);
            total[s][0] = over_group<GROUP>(s, total[s][0], shared);
        }
    }
    if (inside && member == 0) {
        float own[SUMS];
        #pragma unroll
        for (int s = 0; s < SUMS; ++s) own[s] = total[s][0];
        finish(a, row, own);
    }
}
