"""What the account of a GPU's training steps counts, beside counts by hand."""

import itertools
import subprocess
import sys

import emulated_device
import numpy as np
import pytest
from emulated_backend import EmulatedBackend

import tensorgraph as tg
from bench.cuda import account
from bench.cuda.described import blank, described
from tensorgraph import execute

TINY, MLP, *_, RESNET50 = account.ACCOUNTED


def counted(function, *shapes):
    """The rows of a function of tensors of these shapes, compiled, and the backend."""
    with described() as backend:
        step = tg.compile(function)
        step(*[tg.tensor(blank(shape, "float32")) for shape in shapes])
        found = account._counted(TINY, "float32", step.plan.runner, backend)
    return {row.kind: row for row in found.rows}


def test_a_product_by_hand():
    (row,) = counted(tg.ops.matmul, (30, 50), (50, 70)).values()
    assert row == ("products", 1, 1, 1, 4 * (30 * 50 + 50 * 70), 4 * 30 * 70, 2 * 30 * 50 * 70)


def test_what_is_only_repeated_is_read_once():
    def function(x, y):
        return tg.ops.matmul(tg.ops.broadcast_to(x, shape=(3, 30, 50)), y)

    (row,) = counted(function, (30, 50), (3, 50, 70)).values()
    assert row.read == 4 * (30 * 50 + 3 * 50 * 70)


def test_a_chain_by_hand():
    """A vector that is broadcast is read once, and so is what two ops read."""
    (row,) = counted(lambda x, b: tg.ops.exp(x + b) * x, (300, 40), (40,)).values()
    size = 300 * 40
    assert row == ("elementwise", 1, 1, 0, 4 * (size + 40), 4 * size, 3 * size)


def test_a_sum_by_hand():
    (row,) = counted(lambda x: (x * x).sum(0), (300, 40)).values()
    assert row == ("sums", 1, 1, 0, 4 * 300 * 40, 4 * 40, 2 * 300 * 40)


def test_a_convolution_by_hand():
    def function(x, w):
        return tg.ops.conv(x, w, stride=2, padding=1)

    rows = counted(function, (5, 8, 12, 12), (16, 8, 3, 3))
    read, written = 5 * 8 * 12 * 12 + 16 * 8 * 9, 5 * 16 * 6 * 6
    wanted = ("convolutions", 1, 1, 1, 4 * read, 4 * written, 2 * written * 8 * 9)
    assert rows["convolutions"] == wanted


def test_a_step_of_an_mlp_by_hand():
    found = account.account(MLP)
    rows = {row.kind: row for row in found.rows}
    sizes = (784, 512, 256, 10)
    weights = [a * b for a, b in itertools.pairwise(sizes)]
    parameters = sum(weights) + sum(sizes[1:])
    update = rows["update of all parameters"]
    assert update.written == 3 * 4 * parameters, "the parameter and Adam's two moments"
    assert 0 <= update.read - 4 * 4 * parameters <= 16, "their gradients too, and a rate or two"
    products = rows["products"]
    # forward and each weight's gradient; the images' gradient is not wanted
    flops = 2 * 128 * (3 * sum(weights) - weights[0])
    assert products.tasks == products.library == 8
    assert flops <= products.flops <= 1.01 * flops, "with biases"
    assert found.total.tasks == sum(row.tasks for row in found.rows)
    assert found.memory["arguments"] == 4 * 128 * 784 + 8 * 128 + 2 * 256  # Adam's two numbers


@pytest.mark.parametrize("precision", account.PRECISIONS)
def test_resnet_50_is_planned_without_its_memory(precision):
    found = account.account(RESNET50, precision)
    rows = {row.kind: row for row in found.rows}
    assert rows["convolutions"].tasks == rows["convolutions, filters' gradient"].tasks == 53
    forward = 2 * 256 * 4_087_136_256  # multiplications and additions of its convolutions
    extra = 1.06 if precision == "bfloat16" else 1  # its first one may have zeros for channels
    assert forward <= rows["convolutions"].flops <= extra * forward
    assert found.arena > 5e9


def test_casts_of_weights_are_told_from_the_update():
    rows = {row.kind: row for row in account.account(MLP, "bfloat16").rows}
    weights = sum(a * b for a, b in itertools.pairwise((784, 512, 256, 10)))
    casts = rows["casts of parameters"]
    assert (casts.tasks, rows["update of all parameters"].tasks) == (1, 1)
    assert 0 <= casts.read - 4 * weights <= 4 * 1000, "and biases that products add"
    assert casts.read == 2 * casts.written


def test_halves_are_half_as_many_bytes():
    single, half = (account.account(RESNET50, precision) for precision in account.PRECISIONS)
    kinds = {row.kind: row for row in half.rows}
    for row in single.rows:
        if row.kind.startswith("convolutions"):
            assert kinds[row.kind].read == pytest.approx(row.read / 2, rel=0.03)


@pytest.mark.skipif(not emulated_device.available(), reason="g++ is not installed")
@pytest.mark.parametrize("precision", account.PRECISIONS)
def test_the_nodes_are_those_that_are_captured(monkeypatch, precision):
    """Beside what the emulated GPU keeps of the same step, after its first run."""
    replayed = []
    replay = emulated_device.replay

    def counting(nodes, backwards):
        replayed.append(sum(not isinstance(node, emulated_device.Event) for _, node in nodes))
        replay(nodes, backwards)

    monkeypatch.setattr(emulated_device, "replay", counting)
    monkeypatch.setitem(tg.plugins._backends, "cupy", EmulatedBackend())
    monkeypatch.setattr(execute, "_calls", {})
    with tg.use(backend="cupy", precision=precision):
        model = account.MODELS["tiny"](lambda p: p)
        request = account.Request(TINY, {}, "", 1, train=True)
        step = tg.compile(account.train_step(request, model))
        for _ in range(2):
            step(*[tg.tensor(np.array(x)) for x in account._batch(TINY)])
    assert replayed == [account.account(TINY, precision).total.nodes]


def test_the_command_prints_all_tables():
    command = [sys.executable, account.PAGE.parents[1] / "bench" / "gpu.py", "--account"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = account.accounts()
    assert done.stdout.strip() == account.text(found, lambda _: True)
    assert done.stdout.count("| kind of task |") == len(found) == 14


def test_the_backend_that_was_there_is_there_again():
    before = dict(tg.plugins._backends)
    with described():
        assert tg.config.get_backend().device.name == "described"
    assert tg.plugins._backends == before


def test_the_page_shows_what_the_plans_are_now():
    text = account.PAGE.read_text("utf-8")
    shown = text.partition(account.BEGIN)[2].partition(account.END)[0]
    wanted = account.page(account.accounts())
    assert shown.strip() == wanted, "write it anew: python bench/gpu.py --docs"
