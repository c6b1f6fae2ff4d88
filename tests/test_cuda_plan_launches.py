"""How many nodes the graphs of training steps have, by plans of which nothing runs: of a small
network each costs more than what it does."""

import numpy as np
import pytest
from cuda_plans import planned

import tensorgraph as tg
from bench.compare.libraries.ours import MODELS
from bench.compare.workloads import WORKLOADS

NODES = {  # workload → in float32, in bfloat16
    "tiny": (15, 16),
    "mlp": (10, 11),
    "lenet5": (22, 23),
    "simple_cnn": (19, 20),
    "vgg_small": (42, 43),
    "resnet18": (140, 141),
}


def step_of(workload, batch=8):
    """A step of training it, and a batch."""
    model = MODELS[workload.name](lambda rate: rate)
    model.infer_shape(tg.Spec((batch, *workload.shape), "float32"))
    more = {"momentum": workload.momentum} if workload.momentum else {}
    optimizer = tg.optimizers[workload.optimizer](model.parameters(), lr=0.01, **more)
    loss = tg.ops.mse_loss if workload.loss == "mse" else tg.ops.cross_entropy

    def step(x, y):
        found = loss(model(x), y)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        return found

    random = np.random.default_rng(0)
    x = tg.tensor(random.standard_normal((batch, *workload.shape), np.float32))
    y = random.random((batch, 1), np.float32) if workload.loss == "mse" else np.arange(batch)
    return step, x, tg.tensor(y)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NODES)
def test_nodes_of_a_step(name, precision):
    plan = planned(*step_of(WORKLOADS[name]), precision=precision)
    assert plan.graphs == 1
    assert plan.nodes == NODES[name][precision == "bfloat16"], [task.name for task in plan.tasks]


def test_what_passes_over_a_convolutions_result():
    """Batch norm and ReLU: two reads and a write forward; backward four reads and a write."""
    plan = planned(*step_of(WORKLOADS["vgg_small"]))
    made = [call.out for call in plan.program.calls if call.op.name == "conv"]
    wide = {x.spec.shape for x in made}
    for task in plan.tasks:
        names = [call.op.name for call in task.calls]
        read = [x.spec.shape for x in task.inputs if x.spec.shape in wide]
        written = [x.spec.shape for x in task.outputs if x.spec.shape in wide]
        if "axis_variance" in names:
            assert (len(read), len(written)) == (1, 0)
        elif "standardize_weight" in names:
            assert (len(read), len(written)) == (2, 0)
        elif "standardize_input" in names:
            assert (len(read), len(written)) == (2, 1)
