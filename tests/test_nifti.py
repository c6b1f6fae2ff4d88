"""NIfTI: voxels as they lie in the patient, slices, and what is refused."""

import sys

import numpy as np
import pytest
from medical_help import nifti_file, volumes
from tensorgraph_train.sources import resolve_source

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError

nibabel = pytest.importorskip("nibabel")
draw = np.random.default_rng(0)


def one(path, **options):
    return tg.datasets["image"].load(path, **options)


def load(path, **options):
    source, path = resolve_source(str(path), tg.datasets)
    return source.load(path, **options)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("codes", ["LPS", "RAS", "ASR", "SLA", "PRI"])
def test_a_volume_lies_as_the_patient_does(tmp_path, codes, suffix):
    voxels = draw.integers(-900, 900, (6, 5, 4)).astype(np.int16)
    path = nifti_file(tmp_path / f"v{suffix}", voxels, codes)
    assert "".join(nibabel.aff2axcodes(nibabel.load(path).affine)) == codes
    dataset = one(path)
    assert dataset.images.dtype == np.float32 and dataset.white == 1
    assert np.array_equal(dataset.images[0, 0], voxels)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
def test_values_are_nibabels(tmp_path, dtype, kind):
    voxels = (draw.normal(size=(4, 5, 6)) * 50 + 100).astype(dtype)
    image = getattr(nibabel, kind)(voxels, np.diag([-1.0, -1, 1, 1]))
    image.header.set_slope_inter(0.5, -3.0)
    path = tmp_path / "v.nii"
    nibabel.save(image, path)
    np.testing.assert_allclose(
        one(path).images[0, 0], nibabel.load(path).get_fdata().T, rtol=1e-5, atol=1e-4
    )


def test_big_endian_and_a_single_slice(tmp_path):
    voxels = draw.integers(0, 900, (5, 4, 1)).astype(">i2")
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, -1, 1, 1]), header), tmp_path / "v.nii")
    assert np.array_equal(one(tmp_path / "v.nii").images[0, 0], voxels[..., 0].T)


def test_slices_of_a_volume_are_one_group(tmp_path):
    dataset = load(volumes(tmp_path / "data", n=10, shape=(6, 5, 4)), slices=0)
    assert dataset.images.shape == (120, 1, 5, 4) and len(set(dataset.groups)) == 20
    assert dataset.labels.tolist() == [0] * 60 + [1] * 60
    assert dataset.names[7] == "left/v01.nii.gz[1]" and dataset.groups[7] == "left/v01.nii.gz"
    homes = [set(dataset.groups[own]) for own in dataset.splits.values()]
    assert len(homes) == 3 and len(set.union(*homes)) == sum(map(len, homes)) == 20
    whole = load(tmp_path / "data")
    assert whole.groups is None and "same patient" in whole.notes[0]
    assert np.array_equal(whole.images[:, 0].reshape(120, 1, 5, 4), dataset.images)


@pytest.mark.parametrize("cache", [0, 700, 5000])
def test_slices_that_are_read_when_they_are_needed(tmp_path, cache):
    eager = load(volumes(tmp_path / "data", n=10, shape=(6, 5, 4)), slices=1)
    lazy = load(tmp_path / "data", slices=1, cache=cache).images
    for _ in range(2):
        for indices in (np.array([3, 90, 4, 3]), np.arange(0, 100, 7)):
            assert np.array_equal(lazy[indices], eager.images[indices])
        assert sum(x.nbytes for x in lazy.kept.values()) <= cache


def test_volumes_are_resized_along_each_axis(tmp_path):
    ramp = np.zeros((8, 4, 6), np.float32) + np.arange(8)[:, None, None] * 10
    path = nifti_file(tmp_path / "v.nii", ramp)
    assert np.allclose(one(path, resize=[16, 4, 6]).images[0, 0, :, 2, 3],
                       np.clip(np.arange(16) * 5 - 2.5, 0, 70))  # fmt: skip
    torch = pytest.importorskip("torch")
    voxels = draw.normal(size=(5, 6, 7)).astype(np.float32)
    path = nifti_file(tmp_path / "w.nii", voxels)
    want = torch.nn.functional.interpolate(
        torch.tensor(voxels)[None, None], (10, 9, 8), mode="trilinear"
    )
    np.testing.assert_allclose(one(path, resize=[10, 9, 8]).images, want.numpy(), atol=1e-5)


def test_flat_images_and_volumes_do_not_mix(tmp_path):
    volumes(tmp_path / "data", n=2, shape=(6, 5, 4))
    nifti_file(tmp_path / "data" / "left" / "z.nii", np.zeros((1, 5, 4), np.int16))
    with pytest.raises(DataError, match=r"left/v00.nii.gz and left/z.nii have images of 3 and of"):
        load(tmp_path / "data")
    volumes(tmp_path / "other", n=4, shape=(6, 5, 4))
    nifti_file(tmp_path / "other" / "left" / "z.nii", np.zeros((7, 5, 4), np.int16))
    with pytest.raises(DataError, match=r"z.nii is 7x5x4 \(depth x .*data.resize=\[6, 5, 4\]"):
        load(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"resize = \[8, 8\] does not fit volumes of 6x5x4: they"):
        load(tmp_path / "other", resize=[8, 8])
    with pytest.raises(ConfigError, match="slices is the axis along which volumes are cut, 0, 1"):
        load(tmp_path / "other", slices=3)


def changed(path, **fields):
    """A volume whose header says something else."""
    nifti_file(path, np.zeros((6, 5, 4), np.int16))
    data = bytearray(path.read_bytes())
    header = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]},
         "claims 30000x30000x30000 voxels, which end at byte 54000000000352, and is a file of 592"),
        ({"dim": [3, 4, -5, 6, 1, 1, 1, 1]}, "is damaged: its header says 4x-5x6 voxels"),
        ({"dim": [4, 4, 5, 6, 9, 1, 1, 1]}, r"has 9 volumes \(4x5x6x9\); save the one"),
        ({"dim": [99, 4, 5, 6, 1, 1, 1, 1]}, "is damaged: its header says 99 dimensions"),
        ({"datatype": 31000}, "is damaged: its header cannot be read"),
        ({"datatype": 128}, "has voxels of .*; numbers are read"),
        ({"vox_offset": 1e18}, "is damaged: its header says that the voxels begin at 9"),
        ({"vox_offset": np.nan}, "is damaged: "),
        ({"vox_offset": 4.0}, "is damaged: its header says that the voxels begin at 4"),
        ({"sizeof_hdr": 12}, "is no NIfTI file: its header has neither length 348 nor 540"),
        ({"magic": b"ni1"}, r"has its voxels in another file \(.img\)"),
    ],
)  # fmt: skip
def test_headers_that_cannot_be(tmp_path, fields, says):
    with pytest.raises(DataError, match=rf"v.nii {says}"):
        one(changed(tmp_path / "v.nii", **fields))


def test_files_that_are_cut_or_none(tmp_path):
    path = nifti_file(tmp_path / "v.nii.gz", draw.integers(0, 900, (6, 5, 4)).astype(np.int16))
    whole = path.read_bytes()
    for data in (whole[:-40], whole[:30], b"", b"not gzip at all"):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"v.nii.gz is (damaged or cut short|no NIfTI file)"):
            one(path)


def test_without_nibabel_the_extra_is_named(tmp_path, monkeypatch):
    path = nifti_file(tmp_path / "v.nii", np.zeros((6, 5, 4), np.int16))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DataError, match=r"v.nii is read by nibabel, which is not here: pip insta"):
        one(path)


def test_a_volume_that_does_not_say_how_it_lies(tmp_path):
    path = changed(tmp_path / "v.nii", sform_code=0, qform_code=0, pixdim=[1, 0, 0, 0, 1, 1, 1, 1])
    dataset = one(path)
    assert dataset.images.shape == (1, 1, 6, 5, 4)
    assert "do not say how they lie" in dataset.notes[0]
