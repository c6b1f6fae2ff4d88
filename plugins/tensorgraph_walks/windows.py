"""Ops that slide windows over images, in the terms that they share: which of their values are
images, which have an element for each window, and where the windows lie."""

from __future__ import annotations

from typing import NamedTuple

from tensorgraph.program import Call, Value


class Slide(NamedTuple):
    """The windows along one spatial axis: window ``i`` begins at ``i * stride - low`` and reaches
    over ``span`` elements; ``ceil`` as in pooling."""

    span: int
    stride: int
    low: int
    ceil: bool = False

    def reached(self, count: int) -> int:
        """Where the first ``count`` windows end."""
        return (count - 1) * self.stride + self.span - self.low

    def begins(self, window: int) -> int:
        """Where a window begins."""
        return window * self.stride - self.low

    def begun(self, size: int) -> int:
        """How many windows begin before element ``size``."""
        return (size - 1 + self.low) // self.stride + 1

    def inside(self, size: int) -> int:
        """How many windows lie in the first ``size`` elements, or in the padding before them."""
        return (size + self.low - self.span) // self.stride + 1

    def pooled(self, size: int) -> int:
        """How many windows a pool has over ``size`` elements, ``low`` of padding on both sides."""
        room = size + 2 * self.low - self.span
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= size + self.low else count

    def fits(self, size: int, count: int) -> bool:
        """Whether a convolution of ``size`` elements, padded at its end as it needs, has ``count``
        windows."""
        return self.inside(max(size, self.reached(count))) == count


class Windows(NamedTuple):
    """A call in these terms; ``images`` are alike in size, and so are ``results``."""

    images: tuple[Value, ...]
    results: tuple[Value, ...]
    slides: tuple[Slide, ...]


def windows_of(call: Call) -> Windows | None:
    """The windows of a call; None if it has none."""
    name, params, inputs = call.op.name, call.params, (*call.inputs, call.out)
    if name not in ROLES:
        return None
    images, results = (tuple(inputs[i] for i in places) for places in ROLES[name])
    if name in CONVOLUTIONS:
        k = params["size"] if name == "conv_weight" else inputs[1].spec.shape[2:]
        reach = zip(k, params["stride"], params["padding"], params["dilation"])
        slides = [Slide((n - 1) * d + 1, s, low) for n, s, (low, _), d in reach]
    else:
        given = params["windows"]._asdict() if "windows" in params else params
        k, ceil = given["kernel_size"], given["ceil_mode"]
        dilation = given.get("dilation", (1,) * len(k))
        reach = zip(k, given["stride"], given["padding"], dilation)
        slides = [Slide((n - 1) * d + 1, s, p, ceil) for n, s, p, d in reach]
    return Windows(images, results, tuple(slides))


CONVOLUTIONS = ("conv", "conv_input", "conv_weight")
ROLES = {  # op → the places of images and of results among its inputs, the output being the last
    "avg_pool": ((0,), (1,)),
    "avg_pool_input": ((1,), (0,)),
    "conv": ((0,), (2,)),
    "conv_input": ((2,), (0,)),
    "conv_weight": ((0,), (1,)),
    "max_pool": ((0,), (1,)),
    "max_pool_input": ((1, 3), (0, 2)),
    "max_pool_pick": ((0, 1), (2, 3)),
}
