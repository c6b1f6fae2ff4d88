// Sums whose terms are split among blocks, in one launch and always in the same order: each block
// leaves its part in memory, and the block that comes last adds the parts up.

struct Workspace {
    float* parts;
    uint32* counters;  // all 0 before and after: a counter wraps when the last block has come
};

// Whether this is the last of `splits` blocks that share a counter to come here; what the others
// wrote before they came can then be read.
__device__ __forceinline__ bool comes_last(uint32* counter, uint32 splits, float* shared) {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0)
        shared[0] = atomicInc(counter, splits - 1) == splits - 1;
    __syncthreads();
    __threadfence();
    return shared[0] != 0.0f;
}
