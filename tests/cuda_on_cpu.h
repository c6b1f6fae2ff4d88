// Enough of CUDA for g++ to run kernels on the processor: blocks one after the other, the threads
// of a block as fibres that take turns at barriers and warp shuffles. What a GPU forbids beyond
// that is found by cuda_strict.h.
#include <algorithm>
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <ucontext.h>
#include <unordered_map>
#include <utility>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_of_block")))

struct alignas(16) uint4 {
    unsigned int x, y, z, w;
};
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}

// The shared variables of a source's kernels lie in one section, to be wiped before each block.
extern unsigned char __start_shared_of_block[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_shared_of_block[] __attribute__((weak, visibility("hidden")));

struct Index {
    unsigned int x = 1, y = 1, z = 1;
};
static Index gridDim, blockDim, blockIdx, threadIdx;
static unsigned char* dynamic_shared;

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

namespace emulation {

// A fibre runs threads of a warp to their ends, one after the other. Where one has to wait, the
// scheduler goes on with another fibre, so that a kernel without barriers needs a single one. A
// warp goes as far as it can before the next one begins: what a missing barrier allows happens.
struct Fibre {
    ucontext_t first;
    jmp_buf place;
    char stack[256 * 1024];
    int thread = -1;
    bool begun = false;
};
struct Warp {
    uint64_t values[32];
    int arrived, turn, begun, threads;
    unsigned lanes;
};

static std::vector<Fibre*> fibres;
static std::vector<Warp> warps;
static Fibre* running;
static jmp_buf scheduler;
static void (*body)(void*);
static void* body_data;
static int threads, ended_threads, waiting_threads, waiting_line, barrier_turn, current_warp;
static long long progress;  // counts whatever happened
static bool reversed;
static const char* failure;
}  // namespace emulation

#include "cuda_strict.h"

namespace emulation {

UNSEEN static int lane() { return running->thread % 32; }
static Warp& warp() { return warps[running->thread / 32]; }

static void select(int thread) {
    running->thread = thread;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / (blockDim.x * blockDim.y);
}

static void fibre_main() {
    const int own = current_warp;
    while (warps[own].begun < warps[own].threads) {
        const int position = warps[own].begun++;
        select(own * 32 + (reversed ? warps[own].threads - 1 - position : position));
        ++progress;
        body(body_data);
        watching = false;
        ++ended_threads;
        ++progress;
    }
    running->begun = false;
    _longjmp(scheduler, 1);
}

__attribute__((noinline)) static void give_way() {
    Fibre* self = running;
    if (_setjmp(self->place) == 0) _longjmp(scheduler, 1);
    select(self->thread);
}

__attribute__((noinline)) static void resume(Fibre* fibre) {
    running = fibre;
    if (_setjmp(scheduler) != 0) return;
    if (fibre->begun) _longjmp(fibre->place, 1);
    fibre->begun = true;
    getcontext(&fibre->first);
    fibre->first.uc_stack.ss_sp = fibre->stack;
    fibre->first.uc_stack.ss_size = sizeof fibre->stack;
    fibre->first.uc_link = nullptr;
    makecontext(&fibre->first, fibre_main, 0);
    setcontext(&fibre->first);
}

static Fibre* free_fibre() {
    for (Fibre* fibre : fibres)
        if (!fibre->begun) return fibre;
    fibres.push_back(new Fibre);
    return fibres.back();
}

// As far as this warp comes without the others.
static void run_warp(int number) {
    current_warp = number;
    for (long long before = -1; before != progress && !failure;) {
        before = progress;
        for (size_t i = 0; i < fibres.size(); ++i)
            if (fibres[i]->begun && fibres[i]->thread / 32 == number) resume(fibres[i]);
        while (warps[number].begun < warps[number].threads && !failure) resume(free_fibre());
    }
}

// Threads that wait for each other for ever stay where they are: the fibres are used anew.
static void run_block() {
    ended_threads = waiting_threads = 0;
    const int count = (threads + 31) / 32;
    warps.assign(count, Warp{});
    for (int t = 0; t < threads; ++t) warps[t / 32].lanes |= 1u << t % 32, ++warps[t / 32].threads;
    for (Fibre* fibre : fibres) fibre->begun = false;
    for (long long before = -1; ended_threads < threads && !failure;) {
        if (before == progress)
            failure = "some threads wait at a barrier or shuffle that the others never reach";
        before = progress;
        for (int w = 0; w < count; ++w) run_warp(reversed ? count - 1 - w : w);
    }
}

// Go on when all lanes of the warp have come here.
static void meet(Warp& w) {
    const int turn = w.turn;
    if (++w.arrived == w.threads) {
        w.arrived = 0;
        ++w.turn;
        ++progress;
    }
    while (w.turn == turn && !failure) give_way();
}

static uint64_t exchange(unsigned mask, uint64_t own, int from) {
    const Unwatched guard;
    Warp& w = warp();
    if (mask != w.lanes) {
        failure = "a shuffle's mask is not that of the warp's lanes";
        return own;
    }
    w.values[lane()] = own;
    meet(w);
    const uint64_t found = w.lanes >> from & 1 ? w.values[from] : own;
    meet(w);  // nobody writes the next value before all have read this one
    return found;
}

template <typename T>
static T shuffle(unsigned mask, T x, int from) {
    uint64_t bits = 0;
    std::memcpy(&bits, &x, sizeof x);
    bits = exchange(mask, bits, from);
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// "p" for a pointer, else NumPy's letter and size: what Python passed must be what is declared.
template <typename T>
static std::string code() {
    if (std::is_pointer<T>::value) return "p";
    const char letter = std::is_floating_point<T>::value ? 'f'
                        : std::is_signed<T>::value       ? 'i'
                                                         : 'u';
    return std::string(1, letter) + std::to_string(sizeof(T));
}

template <typename... A, size_t... I>
UNSEEN static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    watching = true;
    kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
}

template <typename... A>
static const char* launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block,
                          int shared_bytes, int reverse, const char* given, void** arguments,
                          const uint64_t* memory_ranges, int count, int ends) {
    static std::string message;
    std::string declared;
    ((declared += code<A>() + " "), ...);
    if (declared != given) {
        message = "declared: " + declared + "- given: " + given;
        return message.c_str();
    }
    struct Data {
        void (*kernel)(A...);
        void** arguments;
    } data{kernel, arguments};
    body = [](void* d) UNSEEN {
        call(((Data*)d)->kernel, ((Data*)d)->arguments, std::index_sequence_for<A...>());
    };
    body_data = &data;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    threads = block[0] * block[1] * block[2];
    reversed = reverse;
    failure = nullptr;
    if (__stop_shared_of_block - __start_shared_of_block > 48 * 1024)
        return "more than 48 KiB of shared variables";
    std::vector<uint64_t> memory((shared_bytes + 7) / 8 + 2);
    dynamic_shared = (unsigned char*)(((uintptr_t)memory.data() + 15) / 16 * 16);
    begin_launch(memory_ranges, count, shared_bytes);
#ifdef __SSE__
    const unsigned rounding = _mm_getcsr();
    _mm_setcsr(rounding | 0x8040);  // float32 numbers too small to be normal are 0: -ftz=true
#endif
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t b = 0; b < blocks && !failure; ++b) {
        if (ends && b == (uint64_t)ends && b < blocks - ends) b = blocks - ends;
        const uint64_t at = reversed ? blocks - 1 - b : b;
        blockIdx = {unsigned(at % grid[0]), unsigned(at / grid[0] % grid[1]),
                    unsigned(at / grid[0] / grid[1])};
        if (__start_shared_of_block)  // NaN: no block finds what the last one left
            std::memset(__start_shared_of_block, 0xFF,
                        __stop_shared_of_block - __start_shared_of_block);
        std::memset(dynamic_shared, 0xFF, shared_bytes);
        begin_block();
        run_block();
    }
#ifdef __SSE__
    _mm_setcsr(rounding);
#endif
    return failure;
}

}  // namespace emulation

// All threads have to come to the same barrier of the source: each names its line.
static inline void __syncthreads(int line = __builtin_LINE()) {
    using namespace emulation;
    const Unwatched guard;
    const int turn = barrier_turn;
    if (waiting_threads && line != waiting_line) failure = "threads wait at different barriers";
    waiting_line = line;
    if (++waiting_threads == threads) {
        waiting_threads = 0;
        ++barrier_turn;
        ++interval;
        ++progress;
    }
    while (barrier_turn == turn && !failure) give_way();
}
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
UNSEEN static inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) { emulation::shuffle(mask, 0, 0); }
