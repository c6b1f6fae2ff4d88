// Runs the kernels of a CUDA source that g++ compiled with cuda_on_cpu.h: blocks one after the
// other, the threads of a block as fibres that take turns at barriers and warp shuffles. What a GPU
// forbids beyond that is found by cuda_strict.h.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <string>
#include <ucontext.h>
#include <unordered_map>
#include <vector>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cuda_on_cpu.h"

Index gridDim, blockDim, blockIdx, threadIdx;
unsigned char* dynamic_shared;
bool emulation::watching;
extern unsigned char __start_shared_of_block[] __attribute__((weak));
extern unsigned char __stop_shared_of_block[] __attribute__((weak));

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

int lane() { return running->thread % 32; }
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

uint64_t exchange(unsigned mask, uint64_t own, int from) {
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

void synchronize(int line) {
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

const char* compare(const Kind* declared, int count, const char* given) {
    static std::string message;
    std::string codes;
    for (int i = 0; i < count; ++i) {
        codes += declared[i].letter;
        codes += declared[i].size ? std::to_string(declared[i].size) + " " : " ";
    }
    message = "declared: " + codes + "- given: " + given;
    return codes == given ? nullptr : message.c_str();
}

const char* run(void (*given)(void*), void* data, const Launch& launch) {
    const unsigned *grid = launch.grid, *block = launch.block, ends = launch.ends;
    body = given;
    body_data = data;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    threads = block[0] * block[1] * block[2];
    reversed = launch.reversed;
    failure = nullptr;
    if (__stop_shared_of_block - __start_shared_of_block > 48 * 1024)
        return "more than 48 KiB of shared variables";
    std::vector<uint64_t> memory((launch.shared_bytes + 7) / 8 + 2);
    dynamic_shared = (unsigned char*)(((uintptr_t)memory.data() + 15) / 16 * 16);
    begin_launch(launch);
#ifdef __SSE__
    const unsigned rounding = _mm_getcsr();
    _mm_setcsr(rounding | 0x8040);  // float32 numbers too small to be normal are 0: -ftz=true
#endif
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    for (uint64_t b = 0; b < blocks && !failure; ++b) {
        if (ends && b == ends && b < blocks - ends) b = blocks - ends;
        const uint64_t at = reversed ? blocks - 1 - b : b;
        blockIdx = {unsigned(at % grid[0]), unsigned(at / grid[0] % grid[1]),
                    unsigned(at / grid[0] / grid[1])};
        if (__start_shared_of_block)  // NaN: no block finds what the last one left
            std::memset(__start_shared_of_block, 0xFF,
                        __stop_shared_of_block - __start_shared_of_block);
        std::memset(dynamic_shared, 0xFF, launch.shared_bytes);
        begin_block();
        run_block();
    }
#ifdef __SSE__
    _mm_setcsr(rounding);
#endif
    return failure;
}

}  // namespace emulation
