"""Random numbers, against Philox4x32-10 written out in Python's integers."""

import math

import numpy as np

import tensorgraph as tg
from op_cases.case import Case, draw

KEY = np.array([0xA4093822, 0x299F31D0, 0x13198A2E, 0x03707344], np.uint32)
KEYS = np.stack([KEY, KEY[::-1], KEY + np.uint32(1)])
LOW = 0xFFFFFFFF


def philox(counter, key):
    """Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3."""
    c, k = [int(word) for word in counter], [int(word) for word in key]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & LOW, p >> 32 ^ c[3] ^ k[1], p & LOW]
        k = [k[0] + 0x9E3779B9 & LOW, k[1] + 0xBB67AE85 & LOW]
    return c


def words(n, key):
    blocks = [philox((i & LOW, i >> 32, *key[2:]), key[:2]) for i in range(-(-n // 4))]
    return np.array([w for block in blocks for w in block][:n], np.uint32)


def units(n, key, dtype):
    if dtype == "float32":
        return np.array([(int(w) >> 8) / 2**24 for w in words(n, key)], dtype)
    pairs = words(2 * n, key).reshape(n, 2).tolist()
    return np.array([((a >> 5) * 2**26 + (b >> 6)) / 2**53 for a, b in pairs], dtype)


def normals(n, key, dtype):
    u = units(n + n % 2, key, dtype).astype("float64").tolist()
    found = []
    for a, b in zip(u[::2], u[1::2], strict=True):
        radius = math.sqrt(-2 * math.log(1 - a))
        found += [radius * math.cos(2 * math.pi * b), radius * math.sin(2 * math.pi * b)]
    return np.array(found[:n], dtype)


def shaped(function, shape):
    """An oracle of (key, array of the dtype wanted)."""
    return lambda key, like: function(math.prod(shape), key, str(like.dtype)).reshape(shape)


def each(function, shape):
    """The same where there is a key for each sample."""
    size = math.prod(shape[1:])
    return lambda keys, like: np.stack(
        [function(size, key, str(like.dtype)) for key in keys]
    ).reshape(shape)


def random_case(name, oracle, shape, keys=KEY, **params):
    def call(key, like, **given):
        return getattr(tg.ops, name)(shape, dtype=like.dtype, key=key, **given)

    label = "x".join(map(str, shape)) or "scalar"
    label += ", a key each" * (keys.ndim == 2)
    return Case(name, (keys, draw(1)), oracle, params, order=0, call=call, label=label)


def kept(key, n, p):
    return (words(n, key) < p * 2**32).astype(float)


def permuted(key):
    return np.argsort([a * 2**32 + b for a, b in words(10, key).reshape(5, 2).tolist()])


def dropped(key, x):
    return x * (words(x.size, key).reshape(x.shape) < 0.75 * 2**32) / 0.75


SHAPES = [(), (0,), (1,), (4,), (3, 5)]
PAIRS = units(6, KEY, "float64").reshape(3, 2)

CASES = [
    Case("literal", (), lambda: np.array(7), {"values": 7, "dtype": "int64"}, order=0),
    *[
        Case("literal", (), lambda v=v: np.array(v), {"values": v, "dtype": "int64"}, order=0)
        for v in ([[1, 2], [3, 4]], [5])
    ],
    *[
        Case(
            "random_bits",
            (KEY,),
            lambda key, s=s: words(math.prod(s), key).reshape(s),
            {"shape": s},
            order=0,
        )
        for s in SHAPES
    ],
    *[
        Case(
            "random_bits_each",
            (KEYS,),
            lambda keys, s=s: np.stack([words(math.prod(s), key) for key in keys]).reshape(3, *s),
            {"shape": (3, *s)},
            order=0,
        )
        for s in SHAPES
    ],
    *[
        random_case(name, each(oracle, (3, *s)), (3, *s), keys=KEYS)
        for name, oracle in [("uniform", units), ("normal", normals)]
        for s in SHAPES
    ],
    *[
        random_case(name, shaped(oracle, s), s)
        for name, oracle in [("uniform", units), ("normal", normals)]
        for s in SHAPES
    ],
    random_case(
        "uniform", lambda key, like: units(7, key, str(like.dtype)) * 3 - 1, (7,), low=-1, high=2
    ),
    random_case(
        "normal", lambda key, like: normals(7, key, str(like.dtype)) * 3 + 5, (7,), mean=5, std=3
    ),
    *[
        random_case(
            "bernoulli", lambda key, like, p=p: kept(key, 9, p).astype(like.dtype), (9,), p=p
        )
        for p in (0, 0.3, 1)
    ],
    Case(
        "bernoulli",
        (KEY,),
        lambda key: kept(key, 9, 0.7) > 0,
        order=0,
        call=lambda key: tg.ops.bernoulli(9, p=0.7, key=key),
    ),
    Case(
        "permutation",
        (KEY,),
        permuted,
        order=0,
        call=lambda key: tg.ops.permutation(5, key=key),
    ),
    *[
        Case(
            "dropout",
            (KEY, draw(*s)),
            dropped,
            call=lambda key, x: tg.ops.dropout(x, p=0.25, key=key),
        )
        for s in SHAPES
    ],
    *[
        Case(
            "drop",
            (draw(*s), KEY),
            lambda x, key: dropped(key, x),
            {"p": 0.25},
        )
        for s in SHAPES
    ],
    Case(
        "drop",
        (np.array([1.0, np.inf, -2.0]), KEY),
        lambda x, key: np.zeros(3),
        {"p": 1.0},
        kink=True,
        label="everything",
    ),
    Case(
        "unit_interval",
        (words(8, KEY),),
        lambda bits: units(8, KEY, "float32"),
        order=0,
        call=lambda bits: tg.ops.cast(
            tg.ops.unit_interval(bits, dtype="float32"), dtype=tg.config.current().dtype.value
        ),
    ),
    Case("box_muller", (PAIRS,), lambda u: normals(5, KEY, "float64"), {"shape": (5,)}, order=0),
]
