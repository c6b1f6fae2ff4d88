"""Whole steps as plans for a GPU that is only described: each is one CUDA graph. Nothing runs, and
nothing is compiled."""

import functools

import numpy as np
import pytest
from cuda_plans import planned
from tensorgraph_train import augment, prepare, runfile
from tensorgraph_train.runfile import Named

import tensorgraph as tg

layers, ops = tg.layers, tg.ops
CLASSES, BATCH = 10, 6
SIZES = {"small_cnn3d": (1, 12, 12, 12), "efficientnet_lite0": (3, 32, 32), "resnet50": (3, 32, 32)}
PRECISIONS = ("default", "bfloat16")


def numbers(*shape, seed=0):
    return tg.tensor(np.random.default_rng(seed).standard_normal(shape, np.float32))


LABELS = tg.tensor(np.arange(BATCH) % CLASSES)
VECTORS, SERIES = numbers(BATCH, 12), numbers(BATCH, 3, 9)
IMAGES, VOLUMES = numbers(BATCH, 3, 8, 8), numbers(BATCH, 2, 6, 6, 6)


def training(model, x, y=LABELS, loss=ops.cross_entropy, optimizer="sgd", **options):
    """A training step of a model with all its layers, and what it is given."""
    model.train()
    model.infer_shape(x.spec)
    updates = tg.optimizers[optimizer](model.parameters(), lr=0.01, **options)

    def step(x, y):
        found = loss(model(x), y)
        updates.zero_grad()
        found.backward()
        updates.step()
        return found

    return step, x, y


def classifier(*body):
    return layers.sequential(*body, layers.flatten(), layers.linear(CLASSES))


def check(step, *given):
    """Its plans are one graph each."""
    for precision in PRECISIONS:
        plan = planned(step, *given, precision=precision)
        assert not plan.left, plan.left  # to the backend's own kernels
        assert plan.graphs == 1
        assert not plan.copies  # new values go where the old ones were


@pytest.mark.parametrize("name", tg.models)
def test_models(name):
    tg.seed(0)
    model = tg.models[name](CLASSES)
    x = numbers(BATCH, *SIZES.get(name, (1, 28, 28)))
    check(*training(model, x, momentum=0.9))
    model.eval()
    check(lambda x: ops.softmax(model(x), axis=1), x)


CONV = functools.partial(layers.conv2d, 8, 3, padding=1)
LAYERS = {
    "adaptive_avg_pool2d": (IMAGES, CONV(), layers.adaptive_avg_pool2d(3)),
    "avg_pool1d": (SERIES, layers.conv1d(4, 3), layers.avg_pool1d(2)),
    "avg_pool2d": (IMAGES, CONV(), layers.avg_pool2d(2)),
    "avg_pool3d": (VOLUMES, layers.conv3d(4, 3), layers.avg_pool3d(2)),
    "batch_norm1d": (SERIES, layers.conv1d(8, 3), layers.batch_norm1d(), tg.activations.relu),
    "batch_norm2d": (IMAGES, CONV(), layers.batch_norm2d(), tg.activations.relu),
    "batch_norm3d": (VOLUMES, layers.conv3d(4, 3), layers.batch_norm3d()),
    "conv_transpose2d": (IMAGES, CONV(), layers.conv_transpose2d(4, 2, stride=2)),
    "conv1d": (SERIES, layers.conv1d(4, 3, groups=1), layers.conv1d(4, 3, dilation=2)),
    "conv2d": (IMAGES, layers.conv2d(9, 3, groups=3), layers.conv2d(9, 3, groups=9, bias=False)),
    "conv3d": (VOLUMES, layers.conv3d(4, 3), layers.conv3d(4, 3, stride=2)),
    "dropout": (IMAGES, CONV(), layers.dropout(0.3)),
    "embedding": (tg.tensor(np.arange(18).reshape(6, 3)), layers.embedding(20, 6)),
    "flatten": (IMAGES, layers.flatten()),
    "group_norm": (IMAGES, CONV(), layers.group_norm(2)),
    "layer_norm": (IMAGES, CONV(), layers.layer_norm()),
    "linear": (VECTORS, layers.linear(16), layers.batch_norm1d(), layers.layer_norm()),
    "max_pool1d": (SERIES, layers.conv1d(4, 3), layers.max_pool1d(2)),
    "max_pool2d": (IMAGES, CONV(), layers.max_pool2d(3, 2, 1)),
    "max_pool3d": (VOLUMES, layers.conv3d(4, 3), layers.max_pool3d(2)),
    "residual": (IMAGES, CONV(), layers.residual(layers.sequential(CONV()))),
    "sequential": (IMAGES, layers.sequential(CONV(), tg.activations.relu)),
}


def test_every_layer_is_among_them():
    assert set(LAYERS) == set(tg.layers)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    x, *body = LAYERS[name]
    check(*training(classifier(*body), x))


@pytest.mark.parametrize("name", tg.activations)
def test_activations(name):
    found = tg.activations[name]
    along = functools.partial(found, axis=1) if "softmax" in name else found
    check(*training(classifier(layers.conv2d(5, 3), along), IMAGES))
    check(*training(classifier(layers.linear(16), along), VECTORS))


LIKELY = ops.softmax(numbers(BATCH, CLASSES), axis=1)
PIXELS = tg.tensor(np.arange(BATCH * 64).reshape(BATCH, 8, 8) % CLASSES)
WEIGHTS = ops.abs(numbers(CLASSES))
LOSSES = {
    "binary_cross_entropy_with_logits": [(LIKELY, {}), (LIKELY, {"pos_weight": WEIGHTS})],
    "cross_entropy": [
        (LABELS, {}), (LABELS, {"label_smoothing": 0.1}), (LABELS, {"weight": WEIGHTS}),
        (LIKELY, {}), (PIXELS, {}), (PIXELS, {"label_smoothing": 0.1}),
        (PIXELS, {"weight": WEIGHTS}),
    ],
    "huber_loss": [(LIKELY, {})],
    "l1_loss": [(LIKELY, {})],
    "mse_loss": [(LIKELY, {})],
    "nll_loss": [(LABELS, {}), (PIXELS, {})],
}  # fmt: skip


@pytest.mark.parametrize("name", tg.losses)
def test_losses(name):
    for y, options in LOSSES[name]:
        loss = functools.partial(tg.losses[name], **options)
        if y is PIXELS:
            check(*training(layers.sequential(layers.conv2d(CLASSES, 1)), IMAGES, y, loss))
        else:
            check(*training(classifier(layers.linear(16)), VECTORS, y, loss))


OPTIMIZERS = {
    "adagrad": {},
    "adam": {"amsgrad": True, "weight_decay": 0.1},
    "adamw": {},
    "rmsprop": {"momentum": 0.9, "centered": True},
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}


@pytest.mark.parametrize("clipped", [{}, {"clip_norm": 1.0, "clip_value": 0.1}], ids=str)
@pytest.mark.parametrize("name", tg.optimizers)
def test_optimizers(name, clipped):
    for options in ({}, OPTIMIZERS[name]):
        model = classifier(CONV(), tg.activations.relu)
        check(*training(model, IMAGES, optimizer=name, **options, **clipped))


@pytest.mark.parametrize("name", tg.regularizers)
def test_regularizers(name):
    model, penalty = classifier(CONV()), tg.regularizers[name]()
    check(
        *training(
            model,
            IMAGES,
            loss=lambda x, y: ops.cross_entropy(x, y) + penalty(model.named_parameters()),
        )
    )


@pytest.mark.parametrize("name", tg.augmentations)
def test_augmentations(name):
    change = augment.Augmentations([Named(name, {})], [0.1] * 3, [0.3] * 3, CLASSES)

    def step(x, y, keys):
        with tg.no_grad():
            return change(x, y, keys)

    check(step, numbers(BATCH, 3, 12, 12), LABELS, augment.keys(1, 2, np.arange(BATCH)))


RUNS = {
    "label smoothing": {"train": {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}},
    "mixed labels": {"train": {"augment": [{"name": "mixup"}, {"name": "rotate"}]}},
    "mean teacher": {"train": {"callbacks": [{"name": "few_labels"}, {"name": "mean_teacher"}]}},
    "pseudo labels": {"train": {"callbacks": [{"name": "few_labels"}, {"name": "pseudo_labels"}]}},
    "weight average": {"train": {"callbacks": [{"name": "weight_average"}]}},
    "autoencoder": {
        "model": {"name": "autoencoder"},
        "train": {"callbacks": [{"name": "reconstruction"}]},
    },
    "balanced": {"train": {"class_weights": "balanced", "regularizer": {"name": "l2"}}},
}


@pytest.mark.parametrize("name", RUNS)
def test_runs(name, tmp_path):
    """The steps of training as it calls them, and what it asks the model."""
    table = {"data": {"name": "digits"}, "model": {"name": "small_cnn"}, "train": {}} | RUNS[name]
    table["train"] = {"batch_size": 8, "callbacks": [], **table["train"]}
    run = prepare.run(runfile.settings(table, {}, "here"))
    run.folder = tmp_path
    run._tell("on_start")
    run._freeze()
    batch = run._batches()[0]
    ((_, x),) = run.source.ahead([batch])
    check(run._step, *run._inputs(batch, x))
    run.model.eval()
    check(lambda x: run.model(x), x)


def test_a_frozen_beginning():
    """Layers that predict and do not learn, below those that do."""
    model = tg.models.resnet18(CLASSES, stem="small")
    step, *given = training(model, IMAGES)
    frozen = [
        x
        for name, x in dict(model.named_parameters()).items()
        if not name.startswith(("layer4", "fc"))
    ]
    for x in frozen:
        x.requires_grad = False
    check(step, *given)
