// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011).
//
// A key is four words: seed low, seed high, stream low, stream high. The counter is the number of
// the block of four words (64 bits) and the stream; the seed is what Philox calls its key.

__device__ __forceinline__ uint4 philox_block(uint4 counter, uint32 k0, uint32 k1) {
    for (int round = 0; round < 10; ++round) {
        const uint32 high0 = __umulhi(0xD2511F53u, counter.x);
        const uint32 high1 = __umulhi(0xCD9E8D57u, counter.z);
        const uint32 low0 = 0xD2511F53u * counter.x;
        const uint32 low1 = 0xCD9E8D57u * counter.z;
        counter = make_uint4(high1 ^ counter.y ^ k0, low1, high0 ^ counter.w ^ k1, low0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return counter;
}

// The four words of this number in the stream that `key` names.
__device__ __forceinline__ uint4 philox_words(const uint32* key, uint64 number) {
    const uint4 counter = make_uint4((uint32)number, (uint32)(number >> 32), key[2], key[3]);
    return philox_block(counter, key[0], key[1]);
}
