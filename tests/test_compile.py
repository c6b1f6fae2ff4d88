"""``tg.compile``: the same results as without it, whatever changes between calls."""

import gc
import tracemalloc

import numpy as np
import pytest
from compiled_steps import Training, assert_same, batch, both, plans

import tensorgraph as tg

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("adam", {}),
        ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("adamw", {"clip_norm": 0.1, "clip_value": 0.05}),
        ("rmsprop", {"centered": True, "momentum": 0.5}),
        ("adagrad", {"lr_decay": 0.1}),
    ],
)
def test_training_is_the_same(optimizer, options):
    """With dropout: random numbers are fresh in each replay, and those that eager mode draws."""

    def script(training):
        return [training.step(*batch(seed=i)).item() for i in range(8)]

    found = both(script, optimizer=optimizer, **options)
    assert plans(found.step) == 1


def test_the_first_call_gives_the_bits_of_a_replay():
    """So a run that is resumed, and plans anew in its middle, goes on bit for bit."""
    whole, resumed = Training(), Training()
    for i in range(3):
        whole.step(*batch(seed=i))
    random = tg.config.random_state()
    state = whole.weights()
    memory = whole.optimizer.state()
    want = [whole.step(*batch(seed=i)).item() for i in range(3, 6)]
    resumed.model.load_state(state)
    resumed.optimizer.load_state(memory)
    tg.config.set_random_state(random)
    assert [resumed.step(*batch(seed=i)).item() for i in range(3, 6)] == want
    for name, x in resumed.weights().items():
        np.testing.assert_array_equal(x, whole.weights()[name])


def test_random_numbers_are_fresh():
    draw = tg.compile(lambda: tg.ops.uniform((4,)))
    tg.seed(3)
    found = [draw().numpy() for _ in range(3)]
    tg.seed(3)
    for x in found:
        np.testing.assert_array_equal(x, tg.ops.uniform((4,)).numpy())


def test_a_smaller_batch_and_evaluation():
    def script(training):
        found = []
        for n in (6, 6, 5, 6, 5):
            training.model.train()
            found.append(training.step(*batch(n)).item())
            training.model.eval()
            with tg.no_grad():
                found.append(training.infer(batch(n)[0]).numpy().max())
        return found

    found = both(script)
    assert (plans(found.step), plans(found.infer)) == (2, 2)


def test_settings_that_change_are_noticed():
    def script(training):
        found = []

        def steps():
            found.extend(training.step(*batch(seed=i)).item() for i in range(3))

        steps()
        training.optimizer.lr = 0.3
        steps()
        training.optimizer.weight_decay = 0.5
        steps()
        training.dropout.p = 0.1
        steps()
        training.norm.eval()
        steps()
        training.model[0].weight.requires_grad = False
        steps()
        training.model.unfreeze()
        training.norm.train()
        steps()
        return found

    assert plans(both(script).step) == 6  # the rate is a number that comes anew in every replay


def test_settings_that_stay_are_looked_at_in_one_expression():
    """And what was deleted is missed by the step itself."""
    training = Training()
    for i in range(3):
        training.step(*batch(seed=i))
    plan = training.step.plan
    assert plan._same()
    training.norm.momentum *= 1.0
    assert not plan._same() and plan.holds(), "another number, but equal"
    training.step(*batch())
    assert plans(training.step) == 1
    del training.norm.momentum
    with pytest.raises(AttributeError, match="momentum"):
        training.step(*batch())


def test_a_parameter_that_was_frozen_for_a_while_counts_its_own_updates():
    def script(training):
        weight, found = training.model[0].weight, []
        for frozen in (False, True, False):
            weight.requires_grad = not frozen
            found += [training.step(*batch(seed=i)).item() for i in range(3)]
        return found

    both(script)


@pytest.mark.parametrize("zeroed", [True, False])
def test_gradients_add_up(zeroed):
    def script(compiled):
        training = Training(compiled, p=0.0)

        def gather(x, y):
            loss = tg.ops.cross_entropy(training.model(x), y)
            if zeroed:
                training.optimizer.zero_grad()
            loss.backward()
            return loss

        def update():
            training.optimizer.step()
            training.optimizer.zero_grad()

        if compiled:
            gather, update = tg.compile(gather), tg.compile(update)
        found = []
        for i in range(9):
            found.append(gather(*batch(seed=i)).item())
            found += [float(abs(p.grad.numpy()).sum()) for p in training.model.parameters()]
            if i % 3 == 2:
                update()
                assert training.model[0].weight.grad is None
        return found, training.weights()

    found, want = script(True), script(False)
    np.testing.assert_allclose(found[0], want[0], rtol=1e-4, atol=1e-5)
    assert_same(found[1], want[1])


def test_results_are_tuples_lists_and_dicts_and_arguments_have_names():
    @tg.compile
    def step(x, *, scale, shift=1.0):
        return {"sum": (x * scale + shift).sum(), "all": [x * 2.0, (x.mean(), "name", None)]}

    for k in (1.0, 2.0, 3.0):
        x, scale = tg.tensor([k, 2 * k]), tg.tensor([k, k])
        found = step(x, scale=scale)
        assert found["sum"].item() == 3 * k * k + 2
        assert found["all"][0].numpy().tolist() == [2 * k, 4 * k]
        assert found["all"][1][0].item() == 1.5 * k
        assert found["all"][1][1:] == ("name", None)
        assert step(x=x, scale=scale, shift=0.0)["sum"].item() == 3 * k * k
    assert plans(step) == 2


def test_one_tensor_given_twice_is_another_step():
    step = tg.compile(lambda x, y: x - y * 2.0)
    a, b = tg.tensor([1.0]), tg.tensor([5.0])
    assert [step(*pair).item() for pair in ((a, a), (a, b), (b, b), (b, a))] == [-1, -9, -5, 3]


def test_tensors_that_are_read_by_name_are_read_anew():
    offset, rows = tg.tensor([1.0, 2.0]), {"x": tg.tensor([1.0])}
    scale = 2.0

    def step(x):
        return x * scale + offset

    compiled = tg.compile(step)
    x = tg.tensor([1.0, 1.0])
    assert compiled(x).numpy().tolist() == [3, 4]
    offset.assign(tg.tensor([5.0, 6.0]))
    assert compiled(x).numpy().tolist() == [7, 8]
    assert plans(compiled) == 1
    offset, scale = tg.tensor([0.0, 1.0]), 3.0
    assert compiled(x).numpy().tolist() == [3, 4]
    space = {"rows": rows["x"]}
    exec("def double(): return rows * 2.0\ndef step(): return double() + 1.0", space)
    compiled = tg.compile(space["step"])
    assert compiled().item() == 3
    space["rows"] = tg.tensor([4.0])
    assert compiled().item() == 9


def test_memory_does_not_grow():
    training = Training()
    x, y = batch(600)  # one array kept in every step would be a megabyte

    def steps(n):
        for _ in range(n):
            training.step(x, y).item()
        gc.collect()
        return len(gc.get_objects())

    before = steps(10)
    tracemalloc.start()
    try:
        steps(10)
        taken = tracemalloc.get_traced_memory()[0]
        after = steps(100)
        assert tracemalloc.get_traced_memory()[0] - taken < 200_000
    finally:
        tracemalloc.stop()
    assert after - before < 50


def test_pinned_kernels_run():
    step = tg.compile(lambda x: tg.ops.square(x) + 1.0)
    x = tg.tensor([3.0])
    assert step(x).item() == 10
    with tg.use(kernels={"square": "portable"}):
        assert step(x).item() == 10
        assert type(step.plan.runner).__name__ == "Interpreter"
