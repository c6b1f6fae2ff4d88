// What every kernel is made of: storage types, 16 bytes at a time, sums over a warp and a block.
//
// Memory holds STORAGE (float, or bfloat16 to halve the bytes); arithmetic is in float. There is
// little of it, so what these kernels cost is the bytes that they move.

#ifndef STORAGE
#define STORAGE float
#endif

typedef long long int64;
typedef unsigned long long uint64;
typedef unsigned int uint32;
typedef unsigned short uint16;
typedef unsigned char uint8;

// What counts elements. 32 bits, since dividing 64 costs more than all else that these kernels
// compute; the launch functions ask for 64 where there are more than 2^30 elements.
#ifndef COUNT
#define COUNT int
#endif
typedef COUNT Count;

#define KERNEL extern "C" __global__ void

#ifndef INFINITY  // NVRTC has no <math.h>
#define INFINITY __int_as_float(0x7F800000)
#define NAN __int_as_float(0x7FC00000)
#endif

// The upper half of a float: its sign, its exponent and 7 bits of its significand.
struct bfloat16 {
    uint16 bits;
};

__device__ __forceinline__ float value(float x) { return x; }
__device__ __forceinline__ float value(bfloat16 x) { return __uint_as_float((uint32)x.bits << 16); }

__device__ __forceinline__ void store(float& to, float x) { to = x; }

__device__ __forceinline__ void store(bfloat16& to, float x) {  // the nearest; of two, the even one
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(x));
#else
    const uint32 bits = __float_as_uint(x);
    to.bits = x != x ? 0x7FFF : (uint16)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
#endif
}

template <typename T>
__device__ __forceinline__ T value(T x) {
    return x;
}

template <typename T, typename From>
__device__ __forceinline__ void store(T& to, From x) {
    to = (T)x;
}

template <typename From>
__device__ __forceinline__ void store(bfloat16& to, From x) {
    store(to, (float)x);
}

// Neighbouring elements that a thread loads and stores as one, where the address is a multiple of
// their size, or of 16 if they are longer: then 16 bytes move at a time, as whole words, since
// there is no instruction for eight elements of two bytes.
template <typename T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Items {
    T items[N];
};

template <int N, typename T>
__device__ __forceinline__ Items<T, N> load_items(const T* from) {
    Items<T, N> found;
    if constexpr (sizeof(found) % 16 == 0) {
        #pragma unroll
        for (int k = 0; k < (int)sizeof(found) / 16; ++k)
            reinterpret_cast<uint4*>(&found)[k] = reinterpret_cast<const uint4*>(from)[k];
    } else {
        found = *reinterpret_cast<const Items<T, N>*>(from);
    }
    return found;
}

template <int N, typename T>
__device__ __forceinline__ void store_items(T* to, const Items<T, N>& items) {
    if constexpr (sizeof(items) % 16 == 0) {
        #pragma unroll
        for (int k = 0; k < (int)sizeof(items) / 16; ++k)
            reinterpret_cast<uint4*>(to)[k] = reinterpret_cast<const uint4*>(&items)[k];
    } else {
        *reinterpret_cast<Items<T, N>*>(to) = items;
    }
}

// The thread's number among all of a one-dimensional grid, and their number.
__device__ __forceinline__ Count thread_number() {
    return (Count)blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ Count thread_count() { return (Count)gridDim.x * blockDim.x; }

const uint32 ALL_LANES = 0xFFFFFFFFu;

struct Sum {
    static __device__ __forceinline__ float start() { return 0.0f; }
    __device__ __forceinline__ float operator()(float x, float y) const { return x + y; }
};

struct Largest {  // NaN, if there is one
    static __device__ __forceinline__ float start() { return -INFINITY; }
    __device__ __forceinline__ float operator()(float x, float y) const {
        return x > y || x != x ? x : y;
    }
};

struct Smallest {
    static __device__ __forceinline__ float start() { return INFINITY; }
    __device__ __forceinline__ float operator()(float x, float y) const {
        return x < y || x != x ? x : y;
    }
};

// Combine one value of each of a warp's 32 lanes; every lane gets the result.
template <typename Combine>
__device__ __forceinline__ float over_warp(float x, Combine combine) {
    for (int away = 16; away > 0; away /= 2) x = combine(x, __shfl_xor_sync(ALL_LANES, x, away));
    return x;
}

// Combine one value of each warp of a block (a multiple of 32 threads in one dimension), the same
// in all lanes of the warp; every thread gets the result. `shared` holds 32 numbers.
template <typename Combine>
__device__ __forceinline__ float over_warps(float x, Combine combine, float start, float* shared) {
    const uint32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    __syncthreads();  // what the last call left in `shared` has been read
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return over_warp(lane < blockDim.x / 32 ? shared[lane] : start, combine);
}

// Combine one value of each thread of a block; every thread gets the result.
template <typename Combine>
__device__ __forceinline__ float over_block(float x, Combine combine, float* shared) {
    return over_warps(over_warp(x, combine), combine, Combine::start(), shared);
}
