"""Arrays for tests of Numba kernels, each in the middle of memory that a kernel may not touch."""

import numpy as np

GUARD = 160  # elements before and behind each array


class Memory:
    """Hands out arrays between guards, each of another NaN (or number near the largest) so that
    copying one over the other shows; ``check`` says whether a guard was written to."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.kept = []

    def _buffer(self, count, dtype):
        """``count`` elements, 64-byte aligned."""
        dtype = np.dtype(dtype or self.dtype)
        whole = np.empty(count + 2 * GUARD + 64, dtype)
        bits = whole.view(f"u{dtype.itemsize}")
        bits[:] = np.iinfo(bits.dtype).max - len(self.kept) % 100
        shift = -(whole.ctypes.data + GUARD * dtype.itemsize) % 64 // dtype.itemsize
        begin = GUARD + shift
        self.kept.append((whole, np.ones(len(whole), bool)))
        return whole[begin : begin + count], self.kept[-1][1][begin : begin + count]

    def scratch(self, count):
        """As the planner's: 64 elements more than asked for, with NaN in them."""
        buffer, guard = self._buffer(count + 64, None)
        guard[:] = False
        return buffer

    def array(self, values, order=None, gap=0, dtype=None):
        """A copy of ``values`` whose axes lie in memory in this order, ``gap`` elements between
        the parts of the outermost one."""
        values = np.asarray(values, dtype or self.dtype)
        order = tuple(range(values.ndim)) if order is None else order
        inner = np.transpose(values, order)
        row = int(np.prod(inner.shape[1:])) + gap
        buffer, guard = self._buffer(inner.shape[0] * row, values.dtype)

        def shaped(flat):
            rows = flat.reshape(inner.shape[0], row)[:, : row - gap]
            return rows.reshape(inner.shape).transpose(np.argsort(order))

        shaped(guard)[...] = False
        shaped(buffer)[...] = values
        return shaped(buffer)

    def images(self, values, gap=0):
        """Images (N, C, …), channels innermost."""
        return self.array(values, (0, *range(2, np.ndim(values)), 1), gap)

    def check(self):
        for i, (whole, guard) in enumerate(self.kept):
            bits = whole.view(f"u{whole.itemsize}")
            intact = bits[guard] == np.iinfo(bits.dtype).max - i % 100
            assert intact.all(), "a kernel wrote beyond its arrays"
