"""Random numbers from a counter: the same key gives the same numbers on every backend."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from tensorgraph import config
from tensorgraph.creation import from_host
from tensorgraph.errors import DtypeError, ShapeError
from tensorgraph.op import op
from tensorgraph.ops.elementwise import cast, floating, less, less_equal
from tensorgraph.ops.shape import reshape
from tensorgraph.spec import Shaped, Spec
from tensorgraph_ops.getitem import ALL, getitem
from tensorgraph_ops.index import argsort

if TYPE_CHECKING:
    from tensorgraph.tensor import Tensor

    Key: TypeAlias = Tensor | None
Ints = tuple[int, ...]

MULTIPLIERS = (0xCD9E8D57, 0xD2511F53)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
CHUNK = 1 << 15  # blocks at a time: the work arrays stay in the cache
LOW = 0xFFFFFFFF


@op
def literal(*, values: Any, dtype: str) -> Spec:
    """A constant from a number or nested sequences of numbers, on the backend in force."""
    shape = []
    while isinstance(values, tuple):
        shape.append(len(values))
        values = values[0] if values else 0
    return Spec(tuple(shape), dtype)


def _frozen(values: Any) -> Any:
    return tuple(map(_frozen, values)) if isinstance(values, list | tuple | range) else values


literal.canonical(lambda *, values, dtype: {"values": _frozen(values), "dtype": dtype})
literal.kernel(lambda xp, *, values, dtype: xp.asarray(values, dtype=getattr(xp, dtype)))


@op
def random_bits(key: Shaped, *, shape: Ints) -> Spec:
    """uint32 words of the stream that ``key`` names: Philox4x32-10 (Salmon et al., SC 2011).

    ``key`` is uint32[4]: the seed's low and high word, which are Philox's key, and the stream's,
    which end its counter; the number of the block of four words begins it. A larger shape only
    continues the stream.
    """
    if key != Spec((4,), "uint32"):
        raise DtypeError(
            f"random_bits: the key is {key}, not uint32[4]: seed low, seed high, stream low, "
            "stream high; leave it out for a fresh stream"
        )
    return Spec(shape, "uint32")


random_bits.canonical(lambda key, *, shape: {"shape": _sizes("random_bits", shape)})


@random_bits.kernel
def _words(xp: Any, key: Any, *, shape: Ints) -> Any:
    size = math.prod(shape)
    words = xp.empty((-(-size // 4), 4), dtype=xp.uint32)
    for start in range(0, words.shape[0], CHUNK):
        end = min(start + CHUNK, words.shape[0])
        words[start:end, :] = philox(xp, key, xp.arange(start, end, dtype=xp.uint64))
    return xp.reshape(xp.reshape(words, (-1,))[:size], shape)


def philox(xp: Any, key: Any, blocks: Any) -> Any:
    """The four words of each block, (n, 4), under one key (4,) or a key for each (4, n); words 0
    and 2 of the state go through a round together, as ``even``, and 1 and 3 as ``odd``, of which
    only the low halves count."""
    words = xp.astype(key, xp.uint64)
    steps = xp.asarray(KEY_STEPS, dtype=xp.uint64)[:, None] * xp.arange(ROUNDS, dtype=xp.uint64)
    first = xp.reshape(words[:2, ...], (2, -1))
    multipliers = xp.asarray(MULTIPLIERS, dtype=xp.uint64)[:, None]
    zeros = xp.zeros_like(blocks)
    even = xp.stack([blocks & LOW, zeros + words[2, ...]])
    odd = xp.stack([blocks >> 32, zeros + words[3, ...]])
    for i in range(ROUNDS):
        product = xp.flip(even, axis=0) * multipliers
        even = product >> 32
        even ^= odd
        even ^= first + steps[:, i : i + 1]
        even &= LOW
        odd = product
    state = xp.stack([even, odd & LOW], axis=1)  # (0 and 2 | 1 and 3), even or odd, block
    return xp.astype(xp.permute_dims(xp.reshape(state, (4, -1)), (1, 0)), xp.uint32)


@op
def random_bits_each(keys: Shaped, *, shape: Ints) -> Spec:
    """Words of as many streams as there are ``keys``, uint32 (n, 4): row i of the result (n, …) is
    what ``random_bits`` gives for key i, whatever stands beside it."""
    if keys.dtype != "uint32" or keys.ndim != 2 or keys.shape[1] != 4:
        raise DtypeError(f"random_bits_each: the keys are {keys}, not uint32[n,4], one a sample")
    if shape[:1] != keys.shape[:1]:
        raise ShapeError(
            f"random_bits_each: {keys.shape[0]} keys do not fit the shape {list(shape)}, whose "
            "first axis is that of the samples; give one key each"
        )
    return Spec(shape, "uint32")


random_bits_each.canonical(lambda keys, *, shape: {"shape": _sizes("random_bits_each", shape)})


@random_bits_each.kernel
def _(xp: Any, keys: Any, *, shape: Ints) -> Any:
    size = math.prod(shape[1:])
    each = -(-size // 4)  # blocks of a sample
    words = xp.empty((shape[0] * each, 4), dtype=xp.uint32)
    for start in range(0, words.shape[0], CHUNK):
        end = min(start + CHUNK, words.shape[0])
        at = xp.arange(start, end, dtype=xp.int64)
        own = xp.permute_dims(xp.take(keys, at // each, axis=0), (1, 0))
        words[start:end, :] = philox(xp, own, xp.astype(at % each, xp.uint64))
    return xp.reshape(xp.reshape(words, (shape[0], 4 * each))[:, :size], shape)


@op
def unit_interval(bits: Shaped, *, dtype: str) -> Spec:
    """Random words as numbers in [0, 1): float32 has 24 bits of a word, float64 takes 53 bits
    from two words, which the last axis holds."""
    shape = bits.shape if dtype == "float32" else bits.shape[:-1]
    return Spec(shape, floating("unit_interval", Spec(shape, dtype)))


@unit_interval.kernel
def _(xp: Any, bits: Any, *, dtype: str) -> Any:
    if dtype == "float32":
        signed = xp.astype(xp.asarray(bits >> 8), xp.int32)  # faster to convert than uint32
        return xp.astype(signed, xp.float32) * 2.0**-24
    high, low = bits[..., 0] >> 5, bits[..., 1] >> 6
    whole = xp.astype(xp.asarray(high), xp.float64) * 2.0**26
    return (whole + xp.astype(xp.asarray(low), xp.float64)) * 2.0**-53


@op
def box_muller(u: Shaped, *, shape: Ints) -> Spec:
    """Pairs of numbers in [0, 1), (…, 2), to the first of as many standard normal ones, in
    ``shape``."""
    return Spec(shape, u.dtype)


@box_muller.kernel
def _(xp: Any, u: Any, *, shape: Ints) -> Any:
    u = xp.reshape(u, (-1, 2))
    radius, angle = xp.sqrt(-2 * xp.log1p(-u[:, 0])), u[:, 1] * (2 * math.pi)  # 1 - u is never 0
    out = xp.empty(u.shape, dtype=u.dtype)
    out[:, 0], out[:, 1] = radius * xp.cos(angle), radius * xp.sin(angle)
    return xp.reshape(xp.reshape(out, (-1,))[: math.prod(shape)], shape)


def _sizes(name: str, shape: Any) -> Ints:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if min(sizes, default=0) < 0:
        raise ShapeError(f"{name}: no size in shape {list(sizes)} may be negative")
    return sizes


def _key(key: Key, beside: Tensor | None = None) -> Tensor:
    """The key given, or that of the next stream, on the backend of a tensor or that in force. A
    recorded step takes the next one each time it is replayed."""
    if key is None:
        beside = literal(values=0, dtype="uint32") if beside is None else beside
        [key] = from_host(lambda: [config.next_key()], like=[beside], dtype="uint32")
    return key


def _bits(key: Key, shape: Ints) -> Tensor:
    if key is not None and key.ndim == 2:
        return random_bits_each(key, shape=shape)
    return random_bits(_key(key), shape=shape)


def _uniform(shape: Ints, dtype: str | None, key: Key) -> Tensor:
    dtype = dtype or config.current().dtype.value
    return unit_interval(_bits(key, shape if dtype == "float32" else (*shape, 2)), dtype=dtype)


def uniform(
    shape: Any, *, low: float = 0.0, high: float = 1.0, dtype: str | None = None, key: Key = None
) -> Tensor:
    """Random numbers from ``low`` up to ``high``; ``key``: uint32[4], see ``random_bits``, or a key
    for each sample along the first axis, uint32[n,4]."""
    if low > high:
        raise ShapeError(f"uniform: low {low} is above high {high}; swap them")
    u = _uniform(_sizes("uniform", shape), dtype, key)
    return u if (low, high) == (0, 1) else u * (high - low) + low


def normal(
    shape: Any, *, mean: float = 0.0, std: float = 1.0, dtype: str | None = None, key: Key = None
) -> Tensor:
    """Normally distributed random numbers; ``key``: as of ``uniform``."""
    if std < 0:
        raise ShapeError(f"normal: std {std} is negative")
    sizes = _sizes("normal", shape)
    if key is not None and key.ndim == 2:
        n, size = sizes[0], math.prod(sizes[1:])
        half = -(-size // 2)
        z = box_muller(_uniform((n, half, 2), dtype, key), shape=(n, 2 * half))
        z = reshape(getitem(z, (ALL, slice(size))), shape=sizes)
    else:
        z = box_muller(_uniform((-(-math.prod(sizes) // 2), 2), dtype, key), shape=sizes)
    return z if (mean, std) == (0, 1) else z * std + mean


def _probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ShapeError(f"{name}: p {p} is not a probability, from 0 to 1")


def bernoulli(shape: Any, *, p: float, dtype: str = "bool", key: Key = None) -> Tensor:
    """True (or 1) with probability ``p``, to 32 bits; ``key``: as of ``uniform``."""
    _probability("bernoulli", p)
    bits, bound = _bits(key, _sizes("bernoulli", shape)), round(p * 2**32)
    chosen = less_equal(bits, bound - 1) if bound else less(bits, 0)
    return chosen if dtype == "bool" else cast(chosen, dtype=dtype)


def permutation(n: int, *, key: Key = None) -> Tensor:
    """0 … n - 1 (int64) in random order; ``key``: as of ``uniform``."""
    words = cast(_bits(key, (*_sizes("permutation", n), 2)), dtype="int64")
    return argsort((words[:, 0] - 2**31) * 2**32 + words[:, 1])


@op
def drop(x: Shaped, key: Shaped, *, p: float) -> Spec:
    """``x / (1 - p)`` where ``bernoulli(x.shape, p=1 - p, key=key)`` holds, else 0; linear in
    ``x``, its gradient is itself on ``g``: the mask is drawn again and never stored."""
    random_bits.shape_rule(key, shape=x.shape)
    return Spec(x.shape, floating("drop", x))


@drop.kernel
def _(xp: Any, x: Any, key: Any, *, p: float) -> Any:
    bound = round((1 - p) * 2**32)
    if not bound:
        return xp.zeros_like(x)
    dropped = _words(xp, key, shape=x.shape) > bound - 1
    return xp.where(dropped, 0, x * (1 / (1 - p)))


@drop.vjp
def _(g: Tensor, key: Tensor, *, p: float) -> Any:
    return drop(g, key, p=p), None


def dropout(x: Tensor, *, p: float = 0.5, training: bool = True, key: Key = None) -> Tensor:
    """Zero each element with probability ``p`` and scale the others by ``1 / (1 - p)``;
    without ``training`` or with ``p=0``, ``x`` as it is. ``key``: see ``random_bits``."""
    _probability("dropout", p)
    if not training or p == 0:
        return x
    return drop(x, _key(key, x), p=p)
