// Enough of CUDA for g++ to compile kernels for the processor; cuda_on_cpu.cpp runs them there.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(hidden)  // each library has a copy of cuda_on_cpu.cpp of its own

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
// The shared variables of a source's kernels lie in one section, to be wiped before each block.
#define __shared__ static __attribute__((section("shared_of_block")))

struct alignas(16) uint4 {
    unsigned int x, y, z, w;
};
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}

struct Index {
    unsigned int x = 1, y = 1, z = 1;
};
extern Index gridDim, blockDim, blockIdx, threadIdx;
extern unsigned char* dynamic_shared;

static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)(((uint64_t)a * b) >> 32);
}
template <typename To, typename From>
static inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the sizes differ");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
static inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
static inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
static inline float __int_as_float(int x) { return same_bits<float>(x); }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline long long min(long long a, long long b) { return a < b ? a : b; }
static inline long long max(long long a, long long b) { return a > b ? a : b; }

// What g++ calls no functions of cuda_strict.h for.
#define UNSEEN __attribute__((no_sanitize("thread"), no_sanitize("undefined")))

namespace emulation {

extern bool watching;  // kernels' accesses, not those of the emulation itself

struct Unwatched {
    const bool before = watching;
    UNSEEN Unwatched() { watching = false; }
    UNSEEN ~Unwatched() { watching = before; }
};

struct Launch {
    const unsigned *grid, *block;
    int shared_bytes, reversed;
    const uint64_t* ranges;  // the device's memory: begin, end, begin, … in order
    int range_count;
    int ends;  // only so many blocks at each end of the grid; 0 for all
};
// Each thread calls the body; what is wrong with it, or null.
const char* run(void (*body)(void*), void* data, const Launch& launch);

int lane();
uint64_t exchange(unsigned mask, uint64_t own, int from);
void synchronize(int line);
void fence();
void at_atomic(const void* at, size_t size);
void at_counter(const void* counter, bool last);

template <typename T>
UNSEEN static T shuffle(unsigned mask, T x, int from) {
    uint64_t bits = 0;
    std::memcpy(&bits, &x, sizeof x);
    bits = exchange(mask, bits, from);
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// 'p' for a pointer, else NumPy's letter: what Python passed must be what is declared.
struct Kind {
    char letter;
    int size;
};
template <typename T>
constexpr Kind kind() {
    if (std::is_pointer<T>::value) return {'p', 0};
    const char whole = std::is_signed<T>::value ? 'i' : 'u';
    return {std::is_floating_point<T>::value ? 'f' : whole, sizeof(T)};
}
// What is wrong with the kinds that are given, or null.
const char* compare(const Kind* declared, int count, const char* given);

template <typename... A, size_t... I>
UNSEEN static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    watching = true;
    kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
}

template <typename... A>
static const char* start(void (*kernel)(A...), const char* given, void** arguments,
                         const Launch& launch) {
    const Kind declared[] = {kind<A>()...};
    if (const char* wrong = compare(declared, sizeof...(A), given)) return wrong;
    struct Data {
        void (*kernel)(A...);
        void** arguments;
    } data{kernel, arguments};
    auto body = [](void* d) UNSEEN {
        call(((Data*)d)->kernel, ((Data*)d)->arguments, std::index_sequence_for<A...>());
    };
    return run(body, &data, launch);
}

}  // namespace emulation

// All threads have to come to the same barrier of the source: each names its line.
static inline void __syncthreads(int line = __builtin_LINE()) { emulation::synchronize(line); }
static inline void __threadfence() { emulation::fence(); }
template <typename T>
UNSEEN static T __shfl_xor_sync(unsigned mask, T x, int with) {
    return emulation::shuffle(mask, x, emulation::lane() ^ with);
}
template <typename T>
UNSEEN static T __shfl_down_sync(unsigned mask, T x, int by) {
    return emulation::shuffle(
        mask, x, emulation::lane() + by < 32 ? emulation::lane() + by : emulation::lane());
}
template <typename T>
UNSEEN static T __shfl_sync(unsigned mask, T x, int from) {
    return emulation::shuffle(mask, x, from & 31);
}
UNSEEN static inline unsigned __ballot_sync(unsigned mask, int own) {
    unsigned found = 0;
    for (int k = 0; k < 32; ++k) found |= emulation::shuffle(mask, (unsigned)(own != 0), k) << k;
    return found;
}
static inline int __ffs(int x) { return __builtin_ffs(x); }
UNSEEN static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
    emulation::shuffle(mask, 0, 0);
}
template <typename T, typename U>
UNSEEN static inline T atomicAdd(T* to, U x) {
    emulation::at_atomic(to, sizeof(T));
    const emulation::Unwatched guard;
    T old = *to;
    *to += (T)x;
    return old;
}
UNSEEN static inline unsigned atomicInc(unsigned* to, unsigned limit) {
    emulation::at_atomic(to, sizeof *to);
    const emulation::Unwatched guard;
    const unsigned old = *to;
    *to = old >= limit ? 0 : old + 1;
    emulation::at_counter(to, old >= limit);
    return old;
}
