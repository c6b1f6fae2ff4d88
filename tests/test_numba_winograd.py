"""Winograd's convolutions and their gradients, against sums over the nine taps in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest
from nine_taps import forward, input_gradient, weight_gradient
from numba_memory import Memory

pytest.importorskip("numba")

from tensorgraph_numba import vector
from tensorgraph_numba.kernels import winograd
from tensorgraph_numba.kernels.winograd import Layer
from tensorgraph_numba.native import run

if vector.why_not():
    pytest.skip(vector.why_not(), allow_module_level=True)

MAKERS = {
    "forward": winograd.convolution,
    "input gradient": winograd.input_gradient,
    "weight gradient": winograd.weight_gradient,
}
# the largest error against the largest value, as the module's documentation gives it
BOUNDS = {
    ("float32", 4): 5e-6,
    ("float32", 2): 1.5e-6,
    ("float64", 4): 1e-14,
    ("float64", 2): 7e-15,
}
P0, P1, P2 = ((0, 0), (0, 0)), ((1, 1), (1, 1)), ((2, 2), (2, 2))
LAYERS = [
    Layer(2, 16, 32, 8, 8, P1),
    Layer(3, 1, 1, 3, 3, P0),
    Layer(1, 5, 3, 7, 9, P1),
    Layer(2, 33, 17, 5, 6, ((0, 1), (2, 1))),
    Layer(3, 17, 33, 1, 4, ((2, 1), (2, 2))),
    Layer(2, 5, 70, 10, 13, P0),
    Layer(2, 67, 40, 4, 3, P2),
    Layer(5, 20, 9, 15, 11, ((1, 0), (0, 2))),
    Layer(7, 8, 8, 26, 22, P1),  # several blocks of tiles
]


class Problem:
    """A layer's arrays between guards, and what a kind of computation should give."""

    def __init__(self, kind, layer, gap=0, seed=0):
        rng = np.random.default_rng(seed)
        self.kind, self.layer, self.memory = kind, layer, Memory(layer.dtype)
        draw = rng.standard_normal
        x = draw((layer.samples, layer.channels, layer.height, layer.width)).astype(layer.dtype)
        w = draw((layer.filters, layer.channels, 3, 3)).astype(layer.dtype)
        g = draw((layer.samples, layer.filters, *layer.out)).astype(layer.dtype)
        x64, w64, g64 = (a.astype("float64") for a in (x, w, g))
        self.want = {
            "forward": lambda: forward(layer, x64, w64),
            "input gradient": lambda: input_gradient(layer, g64, w64),
            "weight gradient": lambda: weight_gradient(layer, x64, g64),
        }[kind]()
        unset = np.full(self.want.shape, np.nan)
        x, w, y = {
            "forward": (x, w, unset),
            "input gradient": (g, w, unset),
            "weight gradient": (x, unset, g),
        }[kind]
        self.x, self.y = (self.memory.images(a, gap) for a in (x, y))
        self.w = self.memory.array(w, (2, 3, 1, 0))
        self.out = self.w if kind == "weight gradient" else self.y

    def shared(self, plan):
        return self.memory.scratch(plan.shared_size)[: plan.shared_size]

    def calls(self, plan, phase, shared, first=0, last=None, **options):
        """One phase for the samples ``first`` to ``last``, divided as it wants."""
        method = (plan.first, plan.second)[phase]
        last = self.layer.samples if last is None else last
        ends = [first + (last - first) * t // plan.threads for t in range(plan.threads + 1)]
        out = []
        for t in range(plan.threads):
            some = slice(*ends[t : t + 2] if plan.splits[phase] == "batch" else (first, last))
            out += method(
                self.x[some], self.w, self.y[some], shared,
                start=some.start - first, thread=t, scratch=self.memory.scratch, **options,
            )  # fmt: skip
        return out

    def run(self, plan):
        """Both phases for the whole batch."""
        shared = self.shared(plan)
        for phase in (0, 1):
            run(self.calls(plan, phase, shared))

    def check(self, plan):
        self.memory.check()
        error = np.abs(self.out - self.want).max() / np.abs(self.want).max()
        assert error < BOUNDS[self.layer.dtype, plan.outputs]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("by_channels", [False, True], ids=["tiles", "channels"])
@pytest.mark.parametrize("outputs", [2, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: "-".join(map(str, x[:5])))
def test_values(kind, layer, dtype, outputs, by_channels):
    layer = layer._replace(dtype=dtype)
    for threads in {1, min(2, layer.samples)}:
        problem = Problem(kind, layer, gap=3 * threads)
        plan = MAKERS[kind](layer, threads, outputs=outputs, by_channels=by_channels)
        problem.run(plan)
        problem.check(plan)


@pytest.mark.parametrize("outputs", [2, 4])
@pytest.mark.parametrize("kind", MAKERS)
def test_errors_of_a_wide_layer(kind, outputs):
    """The table in the module's documentation holds for the widest layers that nets have."""
    layer = Layer(8, 512, 256, 7, 7)
    problem = Problem(kind, layer)
    plan = MAKERS[kind](layer, outputs=outputs)
    problem.run(plan)
    problem.check(plan)


@pytest.mark.parametrize("kind", ["forward", "input gradient"])
def test_transformed_weights_serve_every_chunk(kind):
    layer = Layer(7, 20, 36, 9, 10)
    problem = Problem(kind, layer)
    plan = MAKERS[kind](layer, 2, by_channels=False)
    shared = problem.shared(plan)
    run(problem.calls(plan, 0, shared))
    for first, last in ((0, 4), (4, 7)):
        run(problem.calls(plan, 1, shared, first, last))
    problem.check(plan)


def test_sums_of_chunks():
    """By tiles, chunks add up in each thread's sums, and the second phase adds to what is there."""
    layer = Layer(7, 20, 36, 9, 10)
    problem = Problem("weight gradient", layer)
    plan = winograd.weight_gradient(layer, 2, by_channels=False)
    shared = problem.shared(plan)
    for first, last in ((0, 4), (4, 7)):
        run(problem.calls(plan, 0, shared, first, last, accumulate=first > 0))
    problem.w[...] = before = problem.want * 0.5
    run(problem.calls(plan, 1, shared, accumulate=True))
    problem.want = problem.want + before.astype(layer.dtype)
    problem.check(plan)


def test_sums_of_chunks_by_channels():
    layer = Layer(7, 20, 36, 9, 10)
    problem = Problem("weight gradient", layer)
    for first, last in ((0, 4), (4, 7)):
        part = layer._replace(samples=last - first)
        plan = winograd.weight_gradient(part, 2, by_channels=True)
        shared = problem.shared(plan)
        for phase, options in ((0, {}), (1, {"accumulate": first > 0})):
            run(problem.calls(plan, phase, shared, first, last, **options))
    problem.check(plan)


def test_infinities_stay_where_they_are():
    """An infinite or undefined input spoils the outputs of the tiles that see it and no others."""
    layer = Layer(2, 4, 5, 12, 12)
    problem = Problem("forward", layer)
    problem.x[0, 1, 5, 5] = np.nan
    plan = winograd.convolution(layer, outputs=4)
    problem.run(plan)
    assert np.isnan(problem.y[0, :, 4:7, 4:7]).all()
    assert np.isfinite(problem.y[0, :, :, 8:]).all()
    assert np.isfinite(problem.y[1]).all()


def test_rules():
    usual = Layer(32, 64, 64, 32, 32)
    assert winograd.convolution(usual) == winograd.Convolution(usual, 1, 4, False)
    wide = Layer(32, 512, 512, 4, 4)
    assert winograd.convolution(wide, 2) == winograd.Convolution(wide, 2, 4, True)
    assert winograd.weight_gradient(wide).by_channels
    assert winograd.convolution(wide._replace(width=3)).outputs == 4
    assert winograd.convolution(wide._replace(width=2)).outputs == 2
    few = Layer(32, 4096, 30, 4, 4)  # one panel: nothing to divide between two threads
    assert not winograd.convolution(few, 2).by_channels
    back = winograd.input_gradient(Layer(3, 5, 6, 9, 8, ((0, 1), (2, 1))))
    assert back.layer == Layer(3, 6, 5, 8, 9, ((2, 1), (0, 1))) and back.backwards
    assert winograd.convolution(usual).chunk == 32
    large = Layer(32, 512, 512, 28, 28)
    assert winograd.weight_gradient(large).chunk == 2
    tiles = winograd.convolution(large)
    assert tiles.shared_bytes / 32 * tiles.chunk <= winograd.KEPT


def test_where_it_pays():
    layer = Layer(32, 64, 64, 32, 32)
    assert winograd.pays(layer)
    assert winograd.pays(layer._replace(channels=16, filters=16))
    assert not winograd.pays(layer._replace(channels=3))
    assert not winograd.pays(layer._replace(height=1, width=1))
    assert winograd.pays(layer._replace(height=5, width=5))
    assert not winograd.pays(layer._replace(samples=1, height=7, width=7))


def test_who_is_refused():
    layer = Layer(2, 4, 5, 8, 8)
    assert winograd.why_not(layer) is None
    for change, words in (
        ({"dtype": "float16"}, "the dtype is float16"),
        ({"padding": ((3, 0), (0, 0))}, "padding ((3, 0), (0, 0)) is not within 0 to 2"),
        ({"height": 2, "padding": P0}, "has no output"),
        ({"channels": 0}, "has no output"),
    ):
        wrong = layer._replace(**change)
        assert words in winograd.why_not(wrong)
        with pytest.raises(ValueError, match="winograd"):
            winograd.convolution(wrong)
    with pytest.raises(ValueError, match="a tile of 3 outputs"):
        winograd.convolution(layer, outputs=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": lambda a: np.ascontiguousarray(a)}, r"x is float32\[2, 4, 8, 8\] with strides"),
        ({"x": lambda a: a[:, :3]}, r"float32\['1 or more', 4, 8, 8\]"),
        ({"x": lambda a: a.astype("float64")}, "x is float64"),
        ({"x": lambda a: a[:0]}, r"x is float32\[0, 4, 8, 8\]"),
        ({"y": lambda a: a[:, :, 1:]}, r"y is float32\[2, 5, 7, 8\]"),
        ({"y": lambda a: a[:1]}, "x has 2 samples and y has 1"),
        ({"shared": lambda a: a[1:]}, "shared is float32"),
    ],
)
@pytest.mark.parametrize("maker", [winograd.convolution, winograd.weight_gradient])
def test_arrays_that_are_refused(maker, change, words):
    layer = Layer(2, 4, 5, 8, 8)
    problem = Problem("forward", layer)
    plan = maker(layer)
    given = {"x": problem.x, "w": problem.w, "y": problem.y, "shared": problem.shared(plan)}
    for name, turn in change.items():
        given[name] = turn(given[name])
    phase = plan.first if isinstance(plan, winograd.WeightGradient) else plan.second
    with pytest.raises(ValueError, match=words):
        phase(**given, scratch=problem.memory.scratch)


@pytest.mark.parametrize("maker", [winograd.convolution, winograd.weight_gradient])
def test_weights_that_are_refused(maker):
    layer = Layer(2, 4, 5, 8, 8)
    problem = Problem("forward", layer)
    plan = maker(layer)
    phase = plan.second if isinstance(plan, winograd.WeightGradient) else plan.first
    for w in (problem.w[:4], np.ascontiguousarray(problem.w), problem.w.astype("float64")):
        with pytest.raises(ValueError, match=r"dense as \(3, 3, channels, filters\)"):
            phase(problem.x, w, problem.y, problem.shared(plan), scratch=problem.memory.scratch)


def test_batches_that_are_refused():
    layer = Layer(2, 4, 5, 8, 8)
    problem = Problem("forward", layer)
    plan = winograd.convolution(layer, by_channels=True)
    arrays = problem.x, problem.w, problem.y[:1], problem.shared(plan)
    with pytest.raises(ValueError, match="samples 1 to 3 are not within the 2"):
        plan.first(*arrays, start=1, scratch=problem.memory.scratch)
    with pytest.raises(ValueError, match="y has 1 samples, planned are 2"):
        plan.second(*arrays, scratch=problem.memory.scratch)
    gradient = winograd.weight_gradient(layer, by_channels=True)
    arrays = problem.x, problem.w, problem.y, problem.shared(gradient)
    with pytest.raises(ValueError, match="run the second after each"):
        gradient.first(*arrays, accumulate=True, scratch=problem.memory.scratch)


@pytest.mark.slow
@pytest.mark.skipif(vector.unit().name != "avx512", reason="emulates AVX2 on a larger unit")
def test_on_a_smaller_vector_unit(tmp_path):
    """The same tests, compiled for AVX2."""
    names = "avx2 avx fma f16c bmi bmi2 sse4.2 sse4.1 ssse3 sse3 sse2 sse popcnt cmov movbe lzcnt"
    environment = os.environ | {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in names.split()),
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "pytest", "-q", __file__, "-k", "values or sums"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
