"""TensorGraph: compiled with Numba's kernels, compiled with NumPy's alone, and eager."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorgraph as tg
from bench.compare.program import Images, Program, Request, Unavailable
from bench.compare.workloads import Conv, Dropout, Flatten, Linear, Norm, Pool, Relu, Stage

NUMBA = "tensorgraph_numba"
Rate: TypeAlias = Callable[[float], float]


def stage(described: Stage, rate: Rate) -> Any:
    """A layer, or an activation."""
    match described:
        case Conv(_, _, outputs, kernel, stride, padding, bias, groups):
            return tg.layers.conv2d(outputs, kernel, stride, padding, groups=groups, bias=bias)
        case Linear(_, _, outputs):
            return tg.layers.linear(outputs)
        case Norm():
            return tg.layers.batch_norm2d()
        case Pool(kernel, stride, padding):
            return tg.layers.max_pool2d(kernel, stride, padding)
        case Dropout(p):
            return tg.layers.dropout(rate(p))
        case Relu():
            return tg.activations.relu
        case Flatten():
            return tg.layers.flatten()
    raise ValueError(f"{described} is no stage of a sequence")


def tiny() -> tg.Layer:
    linear, sigmoid = tg.layers.linear, tg.activations.sigmoid
    stages = (linear(16), sigmoid, linear(16), sigmoid, linear(1))
    model: tg.Layer = tg.layers.sequential(*stages)
    return model


MODELS: dict[str, Callable[[Rate], Any]] = {
    "tiny": lambda rate: tiny(),
    "mlp": lambda rate: tg.models.mlp(10, hidden=(512, 256)),
    "lenet5": lambda rate: tg.models.lenet5(10),
    "simple_cnn": lambda rate: tg.models.simple_cnn(10, dropout=rate(0.5)),
    "vgg_small": lambda rate: tg.models.vgg_small(10, dropout=rate(0.5)),
    "resnet18": lambda rate: tg.models.resnet18(10, stem="small"),
    "resnet18_224": lambda rate: tg.models.resnet18(1000, stem="imagenet"),
    "resnet50": lambda rate: tg.models.resnet50(1000, stem="imagenet"),
}


def check(option: str) -> None:
    """Raises ``Unavailable`` where this variant would not be what its name says."""
    if option != "eager" and not hasattr(tg, "compile"):
        raise Unavailable("tensorgraph has no compile")
    tg.plugins.load()
    found = [info for info in tg.plugins.infos.values() if info.module.startswith(NUMBA)]
    if option == "jit":
        if not importlib.util.find_spec("numba"):
            raise Unavailable("Numba is not installed (extra jit)")
        if not found or found[0].error is not None:
            raise Unavailable(f"the plugin {NUMBA} is not loaded; 'tensorgraph doctor' says more")
        if not found[0].registered:
            raise Unavailable(f"the plugin {NUMBA} brings no kernels")
    elif option == "numpy" and found:
        raise Unavailable(f"the plugin {NUMBA} is loaded although it was disabled")


def built(request: Request) -> tg.Layer:
    """The model with the weights that everybody starts from; their names must be the same."""
    workload = request.workload
    if (make := MODELS.get(workload.name)) is not None:
        model: tg.Layer = make(request.rate)
    else:
        model = tg.layers.sequential(*(stage(x, request.rate) for x in workload.network))
    model.infer_shape(tg.Spec((2, *workload.shape), "float32"))
    parameters = model.named_parameters()
    if parameters.keys() != request.weights.keys():
        odd = sorted(parameters.keys() ^ request.weights.keys())
        raise ValueError(f"{workload.name}: parameters of one side only: {', '.join(odd)}")
    model.load_state(request.weights, strict=False)  # running statistics are as they start
    return model.train(request.train)


def prepare(request: Request) -> Program:
    tg.seed(0)
    model = built(request)
    run = train_step(request, model) if request.train else inference(model)
    if request.option != "eager":
        run = tg.compile(run)

    def place(x: Any, y: Any) -> tuple[Any, ...]:
        return (tg.tensor(x), tg.tensor(y)) if request.train else (tg.tensor(x),)

    read = (lambda loss: loss.item()) if request.train else (lambda out: out.numpy())
    return Program(place, run, read, feed)


def train_step(request: Request, model: tg.Layer) -> Any:
    workload = request.workload
    criterion = tg.ops.mse_loss if workload.loss == "mse" else tg.ops.cross_entropy
    options = {"momentum": workload.momentum} if workload.optimizer == "sgd" else {}
    make = tg.optimizers[workload.optimizer]
    optimizer = make(model.parameters(), lr=workload.lr, **options)

    def step(x: Any, y: Any) -> Any:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def inference(model: tg.Layer) -> Any:
    def infer(x: Any) -> Any:
        with tg.no_grad():
            return model(x)

    return infer


def feed(images: Images) -> Any:
    """Batches as ``tensorgraph train`` draws them."""
    from tensorgraph_train.feed import Feed

    classes = tuple(map(str, range(int(images.labels.max()) + 1)))
    dataset = tg.Dataset(
        "images", images.pixels, white=255.0, labels=images.labels, classes=classes, splits={}
    )
    source = Feed(dataset, (images.mean,), (images.std,), "float32")
    return lambda index: (source.images(index), source.labels(index))
