"""Explanations: what is known exactly, where a planted corner is, which maps can be trusted."""

import numpy as np
import pytest
from explain_help import in_corner, looking, planted
from scipy.stats import spearmanr
from tensorgraph_explain.inside import enlarged
from tensorgraph_explain.methods import method, methods
from tensorgraph_explain.sanity import LIMIT, alike

import tensorgraph as tg
from tensorgraph.errors import ConfigError

walk = tg.plugins.walk
OF_FEATURES = ("grad_cam", "feature_maps", "filters")
METHODS = (
    *("saliency", "smooth_grad", "integrated_gradients", "grad_cam", "occlusion"),
    *("translation", "feature_maps", "filters", "edges"),
)


@pytest.fixture(scope="module")
def trained():
    return looking()


@pytest.fixture(scope="module")
def two():
    """A model that tells places apart and has seen the corner, and one that has not."""
    flatten = tg.layers.flatten
    return [looking(corner, flatten(), lr=0.005) for corner in (True, False)]


@pytest.fixture(scope="module")
def marked():
    images, labels = planted(24, seed=9)
    return tg.tensor(images[labels == 1])


def linear():
    """A neuron a class, of which everything is known."""
    tg.seed(0)
    model = tg.models.neuron(3)
    x = tg.ops.normal((4, 2, 5, 6), dtype="float64")
    with tg.use(dtype="float64"):
        model.infer_shape(x.spec)
    return model, x, model.state()["1.weight"].numpy().reshape(3, 2, 5, 6)


def test_a_linear_model_is_explained_exactly():
    model, x, weights = linear()
    target = [0, 2, 1, 0]
    own = weights[target]
    np.testing.assert_allclose(walk("saliency", model, x, target), abs(own))
    np.testing.assert_allclose(walk("smooth_grad", model, x, target), abs(own))
    added = walk("integrated_gradients", model, x, target)
    np.testing.assert_allclose(added, own * x.numpy(), atol=1e-12)
    assert walk("completeness", model, x, target, added).max() < 1e-9
    hidden = walk("occlusion", model, x, target, window=1)
    np.testing.assert_allclose(hidden, (own * x.numpy()).sum(1, keepdims=True), atol=1e-12)


def test_completeness_says_how_far_a_sum_is_off():
    model, x, _ = linear()
    added = walk("integrated_gradients", model, x, 1)
    np.testing.assert_allclose(walk("completeness", model, x, 1, 1.5 * added), 0.5)


def test_windows_that_overlap_share_a_place():
    """One row of pixels that count 1: a window of 4 hides as many of them as it covers."""
    model = tg.layers.sequential(lambda x: x.reshape(x.shape[0], -1).sum(axis=1, keepdims=True))
    x = tg.tensor(np.ones((1, 1, 1, 6)))
    found = walk("occlusion", model, x, 0, window=4, stride=2)
    np.testing.assert_allclose(found[0, 0, 0], [4, 4, 4, 4, 4, 4])
    found = walk("occlusion", model, x, 0, window=4, stride=3)  # the second ends with the image
    np.testing.assert_allclose(found[0, 0, 0], [4, 4, 4, 3.5, 3, 3])


def test_translation_by_rows_and_columns():
    """A model that reads one pixel: the image moved down shows what was above it."""
    model = tg.layers.sequential(lambda x: x[:, :, 2, 2])
    values = np.arange(25.0).reshape(1, 1, 5, 5)
    found = walk("translation", model, tg.tensor(values), 0, most=2)
    np.testing.assert_array_equal(found[0, 0], values[0, 0, ::-1, ::-1] - 12)


def test_what_sums_the_whole_image_does_not_mind_moving():
    model = tg.layers.sequential(lambda x: x.reshape(x.shape[0], -1).sum(axis=1, keepdims=True))
    values = np.zeros((1, 1, 9, 9))
    values[..., 3:6, 3:6] = 1
    found = walk("translation", model, tg.tensor(values), 0, most=3)
    np.testing.assert_allclose(found, 0, atol=1e-12)


@pytest.mark.parametrize("name", ["grad_cam", "occlusion", "integrated_gradients"])
def test_the_planted_corner_is_where_it_looks(name, two, marked):
    """Beside a model that has never seen one, on its own images: the corner is 11 % of an image."""
    images, labels = planted(24, seed=9, corner=False)
    plain = tg.tensor(images[labels == 1])
    spoilt, unspoilt = two
    assert in_corner(walk(name, spoilt, marked, 1)) >= 0.6
    assert in_corner(walk(name, unspoilt, plain, 1)) <= 0.11


@pytest.mark.parametrize("name", ["occlusion", "integrated_gradients"])
def test_a_corner_that_was_not_learnt_counts_less(name, two, marked):
    """Grad-CAM is left out: a channel that is bright in the corner counts as it does elsewhere."""
    learnt, strange = (in_corner(walk(name, model, marked, 1)) for model in two)
    assert strange < learnt / 2


@pytest.mark.parametrize("name", ["grad_cam", "occlusion", "saliency"])
def test_a_map_of_the_model_passes_the_sanity_check(name, trained, marked):
    found = walk("sanity", method(name).run, trained, marked, 1)
    assert found.passed.mean() >= 0.75
    assert found.layers == ("5", "2", "0")
    assert found.alike.shape == (3, len(marked))


def test_edges_fail_the_sanity_check(trained, marked):
    found = walk("sanity", method("edges").run, trained, marked, 1)
    assert not found.passed.any() and np.allclose(found.alike, 1)
    assert "FAILED" in found.says(0) and "1.00" in found.says(0)


def test_a_map_that_is_the_same_everywhere_fails(trained, marked):
    found = walk("sanity", lambda model, x, t: np.ones(x.shape), trained, marked, 1)
    assert not found.passed.any()


def test_the_check_leaves_the_model_and_the_randomness_alone(trained, marked):
    before, state = trained.state(), tg.config.random_state()
    values = {name: x.numpy() for name, x in before.items()}
    first = walk("sanity", method("saliency").run, trained, marked, 1)
    assert tg.config.random_state() == state
    for name, x in trained.state().items():
        np.testing.assert_array_equal(x.numpy(), values[name])
    again = walk("sanity", method("saliency").run, trained, marked, 1)
    np.testing.assert_array_equal(first.alike, again.alike)


def test_rank_correlation_agrees_with_scipy():
    generator = np.random.default_rng(0)
    first, second = generator.integers(-4, 5, (2, 3, 1, 6, 6))
    wanted = [spearmanr(abs(a).ravel(), abs(b).ravel()).statistic for a, b in zip(first, second)]
    np.testing.assert_allclose(alike(first, second), wanted)
    assert alike(first, np.zeros_like(first)).max() == 0 < LIMIT


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("model", "shape"),
    [("mlp", (3, 8, 8)), ("small_cnn", (3, 8, 8)), ("small_cnn3d", (1, 6, 6, 6))],
)
def test_any_model_on_any_backend(name, model, shape, backend):
    tg.seed(0)
    x = tg.ops.normal((2, *shape))
    made = tg.models[model](4).train()
    made.infer_shape(x.spec)
    if model == "mlp" and name in OF_FEATURES:
        with pytest.raises(ConfigError, match=r"this model has no (layer|conv)"):
            walk(name, made, x)
        return
    found = walk(name, made, x)
    assert len(found) == 2 and np.isfinite(found).all()
    if method(name).over:
        assert found.shape[2:] == x.shape[2:]
    assert all(layer.training for _, layer in made.layers())
    assert all(p.grad is None for p in made.parameters())


def run_of(name, layer):
    return methods([name], layer)[0].run


def test_a_layer_is_chosen_by_its_path(trained, marked):
    assert run_of("feature_maps", "0")(trained, marked, None).shape == (12, 8, 12, 12)
    weights = trained.state()["2.weight"].numpy()
    found = run_of("filters", "2")(trained, marked, None)
    assert found.shape == (12, 64, 3, 3)
    np.testing.assert_array_equal(found[5], weights.reshape(64, 3, 3))
    with pytest.raises(ConfigError, match="layer: no feature maps are given by 'zwei'"):
        run_of("grad_cam", "zwei")(trained, marked, 1)
    with pytest.raises(ConfigError, match="--layer: of saliency none looks at a layer"):
        run_of("saliency", "2")


def test_a_method_is_a_walk_that_explains():
    with pytest.raises(ConfigError, match="--method: there is no 'gradcam'; did you mean"):
        method("gradcam")
    with pytest.raises(ConfigError, match="--method: there is no 'compile'") as caught:
        method("compile")
    assert set(str(caught.value).partition("Known: ")[2].split(", ")) >= {*METHODS}


def test_a_class_that_is_not_there(trained, marked):
    with pytest.raises(ConfigError, match="2 classes, from 0 on, and not 2"):
        walk("saliency", trained, marked, 2)
    with pytest.raises(ConfigError, match="target: 2 classes for 12 images"):
        walk("saliency", trained, marked, [0, 1])


def test_enlarging_keeps_what_is_even():
    np.testing.assert_allclose(enlarged(np.full((1, 1, 3, 1), 2.0), (7, 4)), 2.0)
