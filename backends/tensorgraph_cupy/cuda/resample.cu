// Images at places between their pixels, linearly between the four neighbours: how augmentation
// turns, moves and bends them. Memory is channels last: (image, row, column, channel).
#include "common.cuh"

// The pixels before and after a place, and how far it is from the first. Beyond the border an image
// goes on with its outermost pixels; what is no number is at 0.
struct Between {
    Count before, after;
    float share;
};

__device__ __forceinline__ Between between(float place, Count size) {
    const float last = (float)(size - 1);
    float inside = place > 0.0f ? place : 0.0f;
    inside = inside < last ? inside : last;
    const Count before = (Count)inside;
    return Between{before, before < size - 1 ? before + 1 : before, inside - (float)before};
}

// out (images, out_height, out_width, channels), from images of (height, width, channels). A place
// has its row and its column in arrays whose strides along (image, y, x) are given, 0 where they
// repeat.
KERNEL resample(const STORAGE* __restrict__ x, const float* __restrict__ rows,
                const float* __restrict__ columns, STORAGE* __restrict__ out, Count images,
                Count height, Count width, Count channels, Count out_height, Count out_width,
                Count row_n, Count row_y, Count row_x, Count column_n, Count column_y,
                Count column_x) {
    const Count size = images * out_height * out_width * channels / WIDTH;
    for (Count i = thread_number(); i < size; i += thread_count()) {
        Count rest = i * WIDTH;
        const Count channel = rest % channels;
        rest /= channels;
        const Count at_x = rest % out_width;
        rest /= out_width;
        const Count at_y = rest % out_height, image = rest / out_height;
        const Between down = between(rows[image * row_n + at_y * row_y + at_x * row_x], height);
        const Between across =
            between(columns[image * column_n + at_y * column_y + at_x * column_x], width);
        const STORAGE* above = x + (image * height + down.before) * width * channels + channel;
        const STORAGE* below = x + (image * height + down.after) * width * channels + channel;
        const Count left = across.before * channels, right = across.after * channels;
        const auto a = load_items<WIDTH>(above + left), b = load_items<WIDTH>(above + right);
        const auto c = load_items<WIDTH>(below + left), d = load_items<WIDTH>(below + right);
        Items<STORAGE, WIDTH> found;
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) {
            const float upper =
                value(a.items[j]) * (1 - across.share) + value(b.items[j]) * across.share;
            const float lower =
                value(c.items[j]) * (1 - across.share) + value(d.items[j]) * across.share;
            store(found.items[j], upper * (1 - down.share) + lower * down.share);
        }
        store_items(out + i * WIDTH, found);
    }
}
