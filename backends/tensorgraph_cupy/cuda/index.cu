// Picking along the middle of three axes (outer, n, inner): elements at given indices, their
// gradient, where the largest element is, and the order of a row.
#include "common.cuh"

// out (outer, picks, inner) = x at the indices, which may count from the end.
KERNEL take(const STORAGE* __restrict__ x, const int64* __restrict__ indices,
            STORAGE* __restrict__ out, Count outer, Count n, Count picks, Count inner) {
    const Count size = outer * picks * inner / WIDTH;
    for (Count i = thread_number(); i < size; i += thread_count()) {
        const Count at = i * WIDTH, pick = at / inner % picks;
        const int64 index = indices[pick] < 0 ? indices[pick] + n : indices[pick];
        const Count from = (at / inner / picks * n + (Count)index) * inner + at % inner;
        store_items(out + at, load_items<WIDTH>(x + from));
    }
}

// out (outer, n, inner): the sums of g at the indices, in the order of the picks; 0 where there is
// none. A warp takes 32 neighbours of one row and looks for the picks of it, 32 indices at a time.
KERNEL take_add(const STORAGE* __restrict__ g, const int64* __restrict__ indices,
                float* __restrict__ out, Count outer, Count n, Count picks, Count inner) {
    const Count lane = threadIdx.x % 32, chunks = (inner + 31) / 32;
    for (Count i = thread_number() / 32; i < outer * n * chunks; i += thread_count() / 32) {
        const Count column = i % chunks * 32 + lane, row = i / chunks % n;
        const Count first_pick = i / chunks / n * picks;
        float sum = 0.0f;
        for (Count first = 0; first < picks; first += 32) {
            const int64 index = first + lane < picks ? indices[first + lane] : n;
            uint32 found = __ballot_sync(ALL_LANES, (index < 0 ? index + n : index) == row);
            for (; found; found &= found - 1) {
                const Count pick = first_pick + first + (__ffs(found) - 1);
                if (column < inner) sum += value(g[pick * inner + column]);
            }
        }
        if (column < inner) out[i / chunks * inner + column] = sum;
    }
}

// The first place of the largest element along the middle axis, or of the first NaN.
KERNEL argmax(const STORAGE* __restrict__ x, int64* __restrict__ out, Count outer, Count n,
              Count inner) {
    for (Count i = thread_number(); i < outer * inner; i += thread_count()) {
        const STORAGE* row = x + i / inner * n * inner + i % inner;
        float best = value(row[0]);
        Count at = 0;
        for (Count j = 1; j < n; ++j) {
            const float found = value(row[j * inner]);
            if (found > best || (found != found && best == best)) {
                best = found;
                at = j;
            }
        }
        out[i] = at;
    }
}

template <typename T>
__device__ __forceinline__ bool is_nan(T x) {
    return x != x;
}

// The indices that sort each row, smallest first; equals keep their order, and NaN comes last. The
// place of an element is the number of those before it: rows are short.
KERNEL argsort(const STORAGE* __restrict__ x, int64* __restrict__ out, Count rows, Count n) {
    for (Count i = thread_number(); i < rows * n; i += thread_count()) {
        const Count at = i % n;
        const STORAGE* row = x + i / n * n;
        const auto own = value(row[at]);
        Count place = 0;
        for (Count j = 0; j < n; ++j) {
            const auto other = value(row[j]);
            const bool equal = other == own || (is_nan(other) && is_nan(own));
            place += equal ? j < at : other < own || (is_nan(own) && !is_nan(other));
        }
        out[i / n * n + place] = at;
    }
}
