"""Augmentations one by one: against SciPy, by what they must keep, and by whose key decides."""

import math

import numpy as np
import pytest
from scipy import ndimage, stats
from tensorgraph_augment import FAMILIES, geometry, intensity, mixing

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DtypeError, ShapeError

NAMES = [name for names in FAMILIES.values() for name in names.split()]
SINGLE = [name for name in NAMES if not getattr(tg.augmentations[name], "mixes", False)]
MIXED = sorted(set(NAMES) - set(SINGLE))


def images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def keys(*samples, epoch=0):
    return np.array([[1, 2, sample, epoch] for sample in samples], np.uint32)


def changed(name, x, key, **options):
    out = tg.augmentations[name](**options)(tg.tensor(x), tg.tensor(key))
    return out[0].numpy() if isinstance(out, tuple) else out.numpy()


@pytest.mark.parametrize("name", NAMES)
def test_a_key_decides_all(backend, name):
    x = images(4, 3, 9, 8)
    first = changed(name, x, keys(0, 1, 2, 3))
    assert (first.shape, first.dtype) == (x.shape, np.float32)
    np.testing.assert_array_equal(first, changed(name, x, keys(0, 1, 2, 3)))
    other = [changed(name, x, keys(0, 1, 2, 3, epoch=epoch)) for epoch in range(1, 9)]
    assert any((first != one).any() for one in other)
    assert np.isfinite(first).all()


@pytest.mark.parametrize("name", SINGLE)
def test_what_happens_to_an_image_depends_on_its_key_alone(backend, name):
    x = images(5, 3, 9, 8)
    whole = changed(name, x, keys(3, 1, 4, 1, 5))
    order = [4, 2, 0]
    some = changed(name, x[order], keys(5, 4, 3))
    np.testing.assert_allclose(some, whole[order], atol=1e-6)
    alone = changed(name, x[2:3], keys(4))
    np.testing.assert_allclose(alone, whole[2:3], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_one_key_for_all_does_as_well(name):
    x = images(4, 3, 9, 8)
    assert changed(name, x, np.array([1, 2, 3, 4], np.uint32)).shape == x.shape


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"colour_jitter"}))
def test_volumes_and_a_single_pixel(name):
    for shape in ((3, 1, 4, 6, 5), (2, 1, 1, 1), (1, 1, 2, 7)):
        found = changed(name, images(*shape), keys(*range(shape[0])))
        assert found.shape == shape
        assert np.isfinite(found).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_step_gives_the_same_and_draws_anew(name):
    augment = tg.augmentations[name]()

    def step(x, key):
        out = augment(x, key)
        return tg.ops.sum(out[0] if isinstance(out, tuple) else out, axis=(1, 2, 3))

    compiled = tg.compile(step)
    x = tg.tensor(images(4, 3, 9, 8))
    with tg.no_grad():
        for epoch in range(3):
            key = tg.tensor(keys(0, 1, 2, 3, epoch=epoch))
            np.testing.assert_allclose(compiled(x, key).numpy(), step(x, key).numpy(), rtol=1e-4)


def test_a_rotation_is_scipys():
    """By the angle that the key draws: SciPy finds it again."""
    x = ndimage.gaussian_filter(images(1, 1, 33, 31), (0, 0, 2, 2))
    drawn = tg.ops.uniform((1, 5), low=-1.0, high=1.0, key=tg.tensor(keys(7))).numpy()[0, 0]
    found = changed("rotate", x, keys(7), degrees=40.0)[0, 0]
    angle = math.radians(40 * drawn)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = np.array([16, 15])
    want = ndimage.affine_transform(x[0, 0], turn, middle - turn @ middle, order=1, mode="nearest")
    np.testing.assert_allclose(found, want, atol=2e-5)


def test_a_rotation_by_a_quarter_is_numpys():
    x = tg.tensor(images(2, 1, 8, 8))
    rows, columns = geometry._from_middle(x)
    found = geometry.moved(x, columns + rows * 0, -rows + columns * 0).numpy()
    np.testing.assert_allclose(found, np.rot90(x.numpy(), 1, (2, 3)), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_blur_is_scipys(sigma):
    x = images(2, 3, 12, 10)
    found = intensity.blurred(tg.tensor(x), tg.tensor(np.full((2, 1, 1, 1), sigma, "f4"))).numpy()

    def smooth(x):
        return ndimage.gaussian_filter(x, (0, 0, sigma, sigma), mode="constant", truncate=20)

    want = smooth(x.astype(float)) / smooth(np.ones(x.shape))
    np.testing.assert_allclose(found, want, atol=2e-5)


@pytest.mark.parametrize(("name", "axis"), [("flip_horizontal", 3), ("flip_vertical", 2)])
def test_flips(name, axis):
    x = images(400, 1, 3, 4)
    found = changed(name, x, keys(*range(400)), p=0.3)
    same = (found == x).all((1, 2, 3))
    mirrored = (found == np.flip(x, axis)).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert stats.binomtest(int(mirrored.sum()), 400, 0.3).pvalue > 0.01


def test_strengths_of_nothing_change_nothing():
    x = images(4, 3, 9, 8)
    nothing = {
        "affine": {"degrees": 0, "translate": 0, "scale": 0, "shear": 0},
        "crop": {"smallest": 1},
        "resize": {"factor": 0},
        "elastic": {"strength": 0},
        "brightness": {"strength": 0},
        "contrast": {"strength": 0},
        "gamma": {"strength": 0},
        "colour_jitter": {"strength": 0},
        "blur": {"sigma": 0},
        "gaussian_noise": {"std": 0},
        "speckle_noise": {"std": 0},
        "erase": {"p": 0},
        "flip_horizontal": {"p": 0},
    }
    for name, options in nothing.items():
        found = changed(name, x, keys(0, 1, 2, 3), **options)
        np.testing.assert_allclose(found, x, atol=1e-5, err_msg=name)


def test_a_translation_moves_by_at_most_its_share():
    x = np.zeros((200, 1, 21, 21), np.float32)
    x[:, :, 10, 10] = 1
    found = changed("translate", x, keys(*range(200)), share=0.2)
    centres = np.array([ndimage.center_of_mass(image[0]) for image in found]) - 10
    assert np.abs(centres).max() <= 0.2 * 21 + 1e-4
    assert stats.kstest(centres.ravel(), stats.uniform(-4.2, 8.4).cdf).pvalue > 0.01


def test_intensities_by_their_formulas():
    x = images(300, 1, 4, 4)
    key = keys(*range(300))
    added = changed("brightness", x, key, strength=0.2) - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :, :1, :1], x.shape), atol=1e-6)
    assert stats.kstest(added[:, 0, 0, 0], stats.uniform(-0.2, 0.4).cdf).pvalue > 0.01
    found = changed("contrast", x, key, strength=0.5)
    np.testing.assert_allclose(found.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=1e-6)
    factors = found.std((1, 2, 3)) / x.std((1, 2, 3))
    assert stats.kstest(factors, stats.uniform(0.5, 1).cdf).pvalue > 0.01
    powers = np.log(changed("gamma", x, key, strength=1.0)) / np.log(x)
    np.testing.assert_allclose(powers, np.broadcast_to(powers[:, :, :1, :1], x.shape), rtol=2e-2)
    ends = np.array([0.0, 1.0, -1.0], np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(changed("gamma", ends, keys(1)), ends)


def test_noise_is_as_large_as_asked_for():
    grey = np.full((8, 1, 32, 32), 0.5, np.float32)
    noise = changed("gaussian_noise", grey, keys(*range(8)), std=0.1) - 0.5
    assert stats.kstest(noise.ravel(), stats.norm(0, 0.1).cdf).pvalue > 0.01
    speckle = changed("speckle_noise", grey, keys(*range(8)), std=0.1) / 0.5
    assert stats.kstest(speckle.ravel(), stats.norm(1, 0.1).cdf).pvalue > 0.01
    black = np.zeros((2, 1, 4, 4), np.float32)
    assert not changed("speckle_noise", black, keys(0, 1)).any()


def test_what_is_erased_is_a_rectangle_of_the_mean():
    x = images(100, 2, 20, 16)
    found = changed("erase", x, keys(*range(100)), share=0.5, p=1.0)
    mean = x.mean((1, 2, 3))
    for before, after, grey in zip(x, found, mean, strict=True):
        other = (before != after).any(0)
        rows, columns = other.any(1), other.any(0)
        assert (other == rows[:, None] & columns).all()
        assert 4 <= rows.sum() <= 11 and 3 <= columns.sum() <= 9
        np.testing.assert_allclose(after[:, other], grey, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0])
def test_shares_are_from_the_beta_distribution(alpha):
    n = 4000
    x = tg.tensor(np.zeros((n, 1, 1, 1), np.float32))
    found = mixing.beta(x, tg.tensor(keys(*range(n))), alpha).numpy().astype(float)
    below = found[found < 0.5]  # near 1 there are too few numbers of 32 bits
    assert stats.binomtest(len(below), n, 0.5).pvalue > 0.01
    cdf = stats.beta(alpha, alpha).cdf
    assert stats.kstest(below, lambda x: 2 * cdf(x)).pvalue > 0.01


@pytest.mark.parametrize("name", MIXED)
def test_shares_say_of_what_an_image_is_made(backend, name):
    n = 16
    plain = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, 2, 24, 20))
    mixed, shares = tg.augmentations[name](alpha=1.0)(
        tg.tensor(np.ascontiguousarray(plain)), tg.tensor(keys(*range(n)))
    )
    shares = shares.numpy()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert (shares >= 0).all()
    assert ((shares > 0).sum(1) <= 2).all()
    np.testing.assert_allclose(mixed.numpy().mean((1, 2, 3)), shares @ np.arange(n), atol=1e-4)
    assert (np.diag(shares) < 0.999).sum() > n / 2


def test_the_words_of_each_key_are_those_of_the_key_alone(backend):
    key = np.random.default_rng(0).integers(0, 2**32, (3, 4), dtype=np.uint32)
    found = tg.ops.random_bits_each(tg.tensor(key), shape=(3, 5, 7)).numpy()
    for own, words in zip(key, found, strict=True):
        alone = tg.ops.random_bits(tg.tensor(own), shape=(5, 7)).numpy()
        np.testing.assert_array_equal(words, alone)


def test_keys_that_do_not_fit():
    key = tg.tensor(keys(1, 2))
    with pytest.raises(ShapeError, match=r"2 keys do not fit the shape \[3, 4\]"):
        tg.ops.uniform((3, 4), key=key)
    with pytest.raises(DtypeError, match=r"the keys are uint32\[2,3\], not uint32\[n,4\]"):
        tg.ops.random_bits_each(key[:, :3], shape=(2, 4))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rotate", {"degrees": -1.0}, "affine: degrees = -1.0 is not a number from 0 to 180"),
        ("flip_vertical", {"p": 2}, "flip_vertical: p = 2 is not a number from 0 to 1"),
        ("mixup", {"alpha": 0}, "mixup: alpha = 0 is not a number from 0.05 to 1"),
        ("crop", {"smallest": math.nan}, "crop: smallest = nan is not a number from 0.05 to 1"),
    ],
)
def test_options_that_are_none(name, options, message):
    with pytest.raises(ConfigError) as error:
        tg.augmentations[name](**options)
    assert str(error.value) == message


def test_colours_of_a_grey_image():
    with pytest.raises(ConfigError, match="takes images in colour, with 3 channels, and gets"):
        changed("colour_jitter", images(2, 1, 4, 4), keys(0, 1))
