"""How long the regularizer ``plugin_name`` takes: ``pytest benchmarks``."""

import tensorgraph as tg


def bench_training(benchmark):
    """Forward and backward, on the weights of LeNet-5."""
    model = tg.models.lenet5()
    model.infer_shape(tg.Spec((1, 1, 28, 28), "float32"))
    parameters = model.named_parameters()
    penalty = tg.regularizers.plugin_name()
    weights = [w for name, w in parameters.items() if name.endswith("weight")]

    def call():
        tg.grad(penalty(parameters), weights)
        weights[0].backend.synchronize()  # a GPU answers before it has done the work

    benchmark(call)
