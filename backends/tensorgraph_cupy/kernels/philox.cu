// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011).
//
// A key: seed low, seed high, stream low, stream high. The counter is the number of the block of four
// words (64 bits) and the stream. Each thread writes whole blocks, `each` of every key one after the
// other, so `out` holds 4 * counters words.

__device__ __forceinline__ uint4 philox_block(uint4 counter, unsigned int k0, unsigned int k1) {
    for (int round = 0; round < 10; ++round) {
        const unsigned int high0 = __umulhi(0xD2511F53u, counter.x);
        const unsigned int high1 = __umulhi(0xCD9E8D57u, counter.z);
        const unsigned int low0 = 0xD2511F53u * counter.x;
        const unsigned int low1 = 0xCD9E8D57u * counter.z;
        counter = make_uint4(high1 ^ counter.y ^ k0, low1, high0 ^ counter.w ^ k1, low0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return counter;
}

extern "C" __global__ void philox(const unsigned int* __restrict__ keys,
                                  uint4* __restrict__ out,
                                  unsigned long long each,
                                  unsigned long long counters) {
    const unsigned long long step = (unsigned long long)gridDim.x * blockDim.x;
    unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i < counters; i += step) {
        const unsigned int* key = keys + 4 * (i / each);
        const unsigned long long n = i % each;
        const uint4 counter = make_uint4((unsigned int)n, (unsigned int)(n >> 32), key[2], key[3]);
        out[i] = philox_block(counter, key[0], key[1]);
    }
}
