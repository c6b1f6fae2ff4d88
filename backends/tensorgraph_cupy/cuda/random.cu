// Random words, and dropout: the bits of the portable kernels, and nothing stored that can be drawn
// again.

#include "common.cuh"
#include "philox.cuh"

// Each row of `width` words begins its own stream with key `row`; one row for a single key.
// Threads take blocks of four words of one row; the last of a row may be cut short.
KERNEL random_words(const uint32* __restrict__ keys, uint32* __restrict__ out, Count rows,
                    Count width) {
    const Count blocks = (width + 3) / 4;
    for (Count i = thread_number(); i < rows * blocks; i += thread_count()) {
        const Count row = i / blocks, first = i % blocks * 4;
        const uint4 words = philox_words(keys + 4 * row, first / 4);
        uint32* to = out + row * width + first;
        if ((uint64)to % 16 == 0 && width % 4 == 0) {
            *reinterpret_cast<uint4*>(to) = words;
        } else {
            const uint32 each[4] = {words.x, words.y, words.z, words.w};
            for (int j = 0; j < 4 && first + j < width; ++j) to[j] = each[j];
        }
    }
}

// Pairs of numbers in [0, 1) to pairs of standard normal ones.
KERNEL box_muller(const float* __restrict__ u, float* __restrict__ out, Count size) {
    for (Count i = thread_number(); 2 * i < size; i += thread_count()) {
        const float radius = sqrtf(-2.0f * log1pf(-u[2 * i]));
        const float angle = u[2 * i + 1] * 6.283185307179586f;
        out[2 * i] = radius * cosf(angle);
        if (2 * i + 1 < size) out[2 * i + 1] = radius * sinf(angle);
    }
}

// x * scale where the word of an element is at most `most`, else 0. Words are counted in the
// logical order (sample, channel, place); memory is channels last: (sample, place, channel). So
// that the same key drops the same elements as on every other backend, an element's word is found
// by its logical number. With `places` 1 the two orders are one, and a thread takes the four
// elements of a block.
KERNEL drop(const STORAGE* __restrict__ x, const uint32* __restrict__ key,
            STORAGE* __restrict__ out, Count size, Count channels, Count places, uint32 most,
            float scale) {
    if (places == 1) {
        for (Count i = thread_number(); i * 4 < size; i += thread_count()) {
            const uint4 words = philox_words(key, i);
            const uint32 each[4] = {words.x, words.y, words.z, words.w};
            for (int j = 0; j < 4 && i * 4 + j < size; ++j) {
                const float kept = value(x[i * 4 + j]) * scale;
                store(out[i * 4 + j], each[j] <= most ? kept : 0.0f);
            }
        }
        return;
    }
    // Four places in a row of one channel are one block of words, where places is a multiple of
    // four: neighbouring threads take neighbouring channels, so that their accesses fall together.
    const Count groups = (places + 3) / 4, samples = size / (channels * places);
    for (Count i = thread_number(); i < samples * groups * channels; i += thread_count()) {
        const Count channel = i % channels, group = i / channels % groups,
                    sample = i / channels / groups;
        const Count logical = (sample * channels + channel) * places + group * 4;
        uint4 words = philox_words(key, logical / 4);
        for (int j = 0; j < 4 && group * 4 + j < places; ++j) {
            const Count number = logical + j;
            if (j > 0 && number % 4 == 0) words = philox_words(key, number / 4);
            const uint32 word = number % 4 == 0   ? words.x
                                : number % 4 == 1 ? words.y
                                : number % 4 == 2 ? words.z
                                                  : words.w;
            const Count at = (sample * places + group * 4 + j) * channels + channel;
            store(out[at], word <= most ? value(x[at]) * scale : 0.0f);
        }
    }
}
