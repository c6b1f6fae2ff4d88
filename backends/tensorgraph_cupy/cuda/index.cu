// Picking along the middle of three axes (outer, n, inner): elements at given indices, their
// gradient, and where the largest element is.
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

// out (outer, n, inner), which holds 0 or what is to be added to, += g at the indices. Additions to
// the same place come in any order, so that the last bits may differ from run to run.
KERNEL take_add(const STORAGE* __restrict__ g, const int64* __restrict__ indices, float* out,
                Count outer, Count n, Count picks, Count inner) {
    const Count size = outer * picks * inner;
    for (Count at = thread_number(); at < size; at += thread_count()) {
        const Count pick = at / inner % picks;
        const int64 index = indices[pick] < 0 ? indices[pick] + n : indices[pick];
        atomicAdd(out + (at / inner / picks * n + (Count)index) * inner + at % inner, value(g[at]));
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
