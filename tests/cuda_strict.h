// What a GPU forbids and a processor forgives, found while a kernel runs. g++ calls the functions
// below at each access to memory (-fsanitize=thread) and where arithmetic is undefined
// (-fsanitize=alignment, …); no library of g++'s is linked.
//
// Found: addresses that are not multiples of what is loaded; accesses beyond the device's memory,
// or to the host's; signed overflow; and two threads at the same byte, one of them writing, with no
// barrier between them, or in two blocks, of which the later did not learn by an atomic counter,
// after fences, that the earlier is done.

namespace emulation {

// Intervals are the times between two barriers of a block, counted through the whole launch.
struct Seen {  // of a byte: the last interval in which it was written and read, and by which thread
    uint32_t written, read;
    uint16_t writer, reader;
    uint16_t many, others;  // more threads read it in that interval; other blocks read it before
};
const uint16_t ATOMIC = 0xFFFF;
const uintptr_t PAGE = 4096;

struct Release {  // a block that has come to a counter, and when each of its threads fenced
    const void* counter;
    uint32_t begin, end;
    int thread;
    std::vector<uint32_t> fences;
};

static std::unordered_map<uintptr_t, std::vector<Seen>> pages;
static std::vector<Release> releases;
static std::vector<uint32_t> fences;
static std::vector<size_t> acquired;  // releases that this block knows of
static uint32_t interval, block_begin, acquired_at;
static int acquirer;
static const uint64_t* ranges;
static int range_count;
static const unsigned char* dynamic_end;
extern "C" unsigned char __ehdr_start[] __attribute__((visibility("hidden")));  // this library
extern "C" unsigned char _end[] __attribute__((visibility("hidden")));

template <typename... Parts>
[[noreturn]] static void fail(const char* format, Parts... parts) {
    static char text[400];
    watching = false;
    std::snprintf(text, sizeof text, format, parts...);
    failure = text;
    _longjmp(scheduler, 1);
}

static bool within(uintptr_t at, const void* begin, const void* end) {
    return at >= (uintptr_t)begin && at < (uintptr_t)end;
}

// Whether another block's access is known to be over: it fenced, came to a barrier and then to a
// counter, where this block found all others; and this thread has met a barrier since.
static bool is_acquired(uint32_t when, uint16_t thread) {
    if (acquired_at == interval && running->thread != acquirer) return false;
    for (size_t i : acquired) {
        const Release& r = releases[i];
        if (when < r.begin || when > r.end) continue;
        if (thread == ATOMIC) return true;
        return r.fences[thread] >= when && (r.fences[thread] < r.end || thread == r.thread);
    }
    return false;
}

static bool conflicts(uint32_t when, uint16_t thread, bool shared) {
    if (when >= block_begin) return when == interval && thread != running->thread;
    return when && !shared && !is_acquired(when, thread);
}

static Seen& seen(uintptr_t byte) {
    static uintptr_t number;
    static Seen* page;
    if (pages.empty() || byte / PAGE != number) {
        number = byte / PAGE;
        std::vector<Seen>& found = pages[number];
        found.resize(PAGE);
        page = found.data();
    }
    return page[byte % PAGE];
}

// One byte is read or written by the thread that runs.
static void note(Seen& s, const char* what, bool writes, bool atomic, bool shared) {
    const uint16_t self = atomic ? ATOMIC : (uint16_t)running->thread;
    const bool both_atomic = atomic && s.writer == ATOMIC;
    bool race = !both_atomic && conflicts(s.written, s.writer, shared);
    if (writes && !both_atomic) {
        race |= s.read >= block_begin && s.read == interval && s.many;
        race |= s.read && conflicts(s.read, s.reader, shared);
        race |= s.others && !shared && acquired.empty();
    }
    if (race)
        fail("a race: thread %d of block %u %s %s memory that thread %d touches too, without a "
             "barrier between them", running->thread, blockIdx.x, what,
             shared ? "shared" : "global", s.written >= s.read ? s.writer : s.reader);
    if (writes) {
        s.written = interval;
        s.writer = self;
    } else if (s.read == interval) {
        s.many |= s.reader != self;
    } else {
        s.others |= s.read && s.read < block_begin;
        s.read = interval;
        s.reader = self;
        s.many = false;
    }
}

static void access(uintptr_t at, size_t size, bool writes, bool atomic = false) {
    if (!watching || within(at, running->stack, running->stack + sizeof running->stack)) return;
    const Unwatched guard;
    const char* what = writes ? "writes" : "reads";
    bool shared = within(at, dynamic_shared, dynamic_end);
    if (within(at, __ehdr_start, _end)) {
        shared = within(at, __start_shared_of_block, __stop_shared_of_block);
        if (!shared) return;  // threadIdx and the like
    }
    if (!shared && range_count) {
        const uint64_t* after = std::upper_bound(ranges, ranges + 2 * range_count, (uint64_t)at);
        if ((after - ranges) % 2 == 0 || at + size > *after)
            fail("thread %d %s %zu bytes at %#zx, which is no memory of the device",
                 running->thread, what, size, (size_t)at);
    }
    Seen before = seen(at), after = before;
    note(after, what, writes, atomic, shared);
    for (uintptr_t byte = at; byte < at + size; ++byte) {  // mostly these are all alike
        Seen& s = seen(byte);
        if (std::memcmp(&s, &before, sizeof s) != 0) {
            before = after = s;
            note(after, what, writes, atomic, shared);
        }
        s = after;
    }
}

static void begin_launch(const Launch& launch) {
    pages.clear();
    releases.clear();
    interval = 0;
    ranges = launch.ranges;
    range_count = launch.range_count;
    dynamic_end = dynamic_shared + launch.shared_bytes;
}

static void begin_block() {
    block_begin = ++interval;
    acquired.clear();
    acquired_at = 0;
    fences.assign(threads, 0);
}

// What a thread does to a counter: its block's writes are known to the block that comes last.
void at_counter(const void* counter, bool last) {
    if (last) {
        for (size_t i = 0; i < releases.size(); ++i)
            if (releases[i].counter == counter) acquired.push_back(i);
        acquired_at = interval;
        acquirer = running->thread;
    }
    releases.push_back(Release{counter, block_begin, interval, running->thread, fences});
}

void at_atomic(const void* at, size_t size) { access((uintptr_t)at, size, true, true); }

void fence() { fences[running->thread] = interval; }

static void aligned(const void* at, size_t size) {  // -fsanitize=alignment leaves out some
    if (watching && (uintptr_t)at % size)
        fail("%zu bytes at %p, which is no multiple of what is loaded or stored", size, at);
}

struct Place {  // as g++ writes it
    const char* file;
    uint32_t line, column;
};

static void undefined(const void* where, const char* what) {
    if (!watching) return;
    const Place* place = static_cast<const Place*>(where);
    fail("%s, line %u: %s", place->file ? place->file : "?", place->line, what);
}

}  // namespace emulation

#define ACCESSES(bytes)                                                       \
    void __tsan_read##bytes(void* at) {                                \
        emulation::access((uintptr_t)at, bytes, false);                       \
        emulation::aligned(at, bytes);                                        \
    }                                                                         \
    void __tsan_write##bytes(void* at) {                               \
        emulation::access((uintptr_t)at, bytes, true);                        \
        emulation::aligned(at, bytes);                                        \
    }
#define UNDEFINED(name, what) \
    void __ubsan_handle_##name(void* where, ...) { emulation::undefined(where, what); }

extern "C" {
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(void* at, size_t size) {
    emulation::access((uintptr_t)at, size, false);
}
void __tsan_write_range(void* at, size_t size) {
    emulation::access((uintptr_t)at, size, true);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
UNDEFINED(type_mismatch_v1, "an address that is no multiple of what is loaded or stored")
UNDEFINED(add_overflow, "a sum overflows")
UNDEFINED(sub_overflow, "a difference overflows")
UNDEFINED(mul_overflow, "a product overflows")
UNDEFINED(negate_overflow, "a negation overflows")
UNDEFINED(divrem_overflow, "a division by zero, or one that overflows")
UNDEFINED(shift_out_of_bounds, "bits are shifted too far")
UNDEFINED(out_of_bounds, "an index beyond an array")
}

