"""``tg.compile``: state that a step writes, that others read, load and copy between its calls."""

import copy
import pickle
import threading

import numpy as np
import pytest
from compiled_steps import Training, assert_same, batch, both

import tensorgraph as tg

pytestmark = pytest.mark.usefixtures("compiler")


def test_state_that_the_step_assigns():
    total, last = tg.tensor([0.0]), tg.tensor([0.0, 0.0])

    @tg.compile
    def step(x):
        before = total * 1.0
        total.assign(total + x.sum())
        last.assign(x)
        return before, total * 10.0

    want = 0.0
    for k in (1.0, 2.0, 3.0):
        before, after = step(tg.tensor([k, k]))
        assert before.item() == want
        want += 2 * k
        assert (after.item(), total.item(), last.numpy().tolist()) == (10 * want, want, [k, k])


def test_old_values_are_returned_while_new_ones_are_written():
    first, second = tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])

    @tg.compile
    def swap(x):
        old = first.detach()
        first.assign(second)
        second.assign(old)
        return old, second.detach(), x

    for _ in range(2):
        for want in ([1, 2], [3, 4]):
            found = [x.numpy().tolist() for x in swap(tg.tensor([7.0]))]
            assert found == [want, want, [7]]
            assert second.numpy().tolist() == want != first.numpy().tolist()


def test_what_was_read_between_steps_stays():
    training = Training()
    kept = []
    for i in range(4):
        state = training.model.state()
        twin = copy.deepcopy(training.model)
        kept.append((state, twin, training.weights(), training.model[0].weight.detach()))
        training.step(*batch(seed=i))
    for state, twin, weights, first in kept:
        assert_same({k: x.numpy() for k, x in state.items()}, weights, 0)
        assert_same({k: x.numpy() for k, x in twin.state().items()}, weights, 0)
        np.testing.assert_array_equal(first.numpy(), weights["0.weight"])
    assert (kept[0][2]["0.weight"] != kept[1][2]["0.weight"]).any()
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(training.model[0].weight)


def test_state_that_is_loaded_between_steps():
    def script(training):
        found, kept = [], []
        for i in range(8):
            found.append(training.step(*batch(seed=i)).item())
            if i == 2:
                memory = training.optimizer.state()
                kept = [training.weights(), memory]
            if i == 5:
                training.model.load_state(kept[0])
                training.optimizer.load_state(kept[1])
        return found

    both(script, p=0.0)


def test_a_copy_and_what_was_detached_before_are_tensors_of_their_own():
    """They begin with the parameter's very array."""

    def script(training):
        start = training.model[0].weight.detach()
        mean = copy.deepcopy(training.model)

        def step(x, y):
            away = training.model[0].weight - start
            loss = tg.ops.cross_entropy(training.model(x), y) + (away * away).sum() * 3.0
            training.optimizer.zero_grad()
            loss.backward()
            training.optimizer.step()
            for slow, p in zip(mean.parameters(), training.model.parameters(), strict=True):
                slow.assign(slow.detach() * 0.9 + p.detach() * 0.1)
            return loss

        step = step if training.step == training._step else tg.compile(step)
        found = [step(*batch(seed=i)).item() for i in range(5)]
        return found + [float(p.numpy().sum()) for p in mean.parameters()]

    both(script, p=0.0)


def test_two_steps_share_parameters_and_take_turns():
    def script(training):
        found = []
        for i in range(5):
            training.model.train()
            found.append(training.step(*batch(seed=i)).item())
            training.model.eval()
            found += training.infer(batch(3)[0]).numpy().ravel().tolist()
        return found

    both(script)


def test_threads_take_turns():
    """Plans work in memory of their own, which two calls at once would share."""
    w = tg.tensor(np.eye(64, dtype="float32"))
    step = tg.compile(lambda x: tg.ops.tanh(x @ w) @ w)
    step(tg.tensor(np.zeros((128, 64), "float32")))
    wrong = []

    def work(first):
        for k in range(first, 200, 4):
            x = np.full((128, 64), k / 200, "float32")
            if not np.allclose(step(tg.tensor(x)).numpy(), np.tanh(x), atol=1e-5):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
