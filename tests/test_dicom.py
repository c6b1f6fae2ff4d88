"""DICOM: values, colours, windows, frames, patients, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
from medical_help import dicom_file
from tensorgraph_train.sources import resolve_source

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError

pydicom = pytest.importorskip("pydicom")
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
draw = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "keys" / "own"))


def one(path, **options):
    return tg.datasets["image"].load(path, **options)


def load(path, **options):
    source, path = resolve_source(str(path), tg.datasets)
    return source.load(path, **options)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "name",
    ["CT_small", "MR_small", "MR_small_bigendian", "MR_small_implicit", "MR_small_RLE", "rtdose",
     "MR_small_jp2klossless", "examples_overlay", "SC_rgb_jpeg_dcmtk", "SC_rgb_rle_2frame",
     "SC_ybr_full_422_uncompressed", "SC_rgb_dcmtk_+eb+cy+np", "ExplVR_BigEnd", "JPEG2000"],
)  # fmt: skip
def test_values_are_pydicoms(name):
    path = SAMPLES / f"{name}.dcm"
    found = pydicom.dcmread(path)
    want = pydicom.pixels.pixel_array(found)
    if found.SamplesPerPixel == 1:
        want = pydicom.pixels.apply_modality_lut(want, found)[None]
    else:
        want = np.moveaxis(want, -1, 0)
    dataset = one(path)
    assert dataset.images.dtype == (np.float32 if found.SamplesPerPixel == 1 else np.uint8)
    np.testing.assert_allclose(dataset.images[0], want, rtol=1e-6)


@pytest.mark.filterwarnings("default")
def test_palettes_are_colours():
    path = SAMPLES / "examples_palette.dcm"
    found = pydicom.dcmread(path)
    want = pydicom.pixels.apply_color_lut(found.pixel_array, found) >> 8
    assert np.array_equal(one(path).images[0], np.moveaxis(want, -1, 0))


def test_rescale_slope_and_intercept_are_floats(tmp_path):
    stored = draw.integers(-500, 3000, (6, 5)).astype(np.int16)
    path = dicom_file(tmp_path / "x.dcm", stored, RescaleSlope=0.25, RescaleIntercept=-1024.5)
    np.testing.assert_allclose(one(path).images[0, 0], stored * 0.25 - 1024.5)


@pytest.mark.parametrize(("dtype", "bits"), [("uint16", 12), ("int16", 12), ("uint8", 8)])
def test_monochrome1_is_brighter_where_there_is_more(tmp_path, dtype, bits):
    low = -(2 ** (bits - 1)) if dtype == "int16" else 0
    stored = draw.integers(low, low + 2**bits, (6, 5)).astype(dtype)
    mirrored = 2 * low + 2**bits - 1 - stored.astype(np.int64)
    scale = {"RescaleSlope": 2, "RescaleIntercept": 10}
    dark = dicom_file(tmp_path / "1.dcm", stored, "MONOCHROME1", bits, **scale)
    bright = dicom_file(tmp_path / "2.dcm", mirrored.astype(dtype), "MONOCHROME2", bits, **scale)
    assert np.array_equal(one(dark).images, one(bright).images)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_the_window_of_the_file(tmp_path, function, photometric):
    stored = draw.integers(0, 4096, (16, 15)).astype(np.uint16)
    more = {"RescaleIntercept": -1024, "RescaleSlope": 1, "VOILUTFunction": function}
    path = dicom_file(tmp_path / "x.dcm", stored, photometric, 12, **more,
                      WindowCenter=[40, 300], WindowWidth=[400, 1500])  # fmt: skip
    found = pydicom.dcmread(path)
    want = pydicom.pixels.apply_modality_lut(found.pixel_array, found)
    want = pydicom.pixels.apply_windowing(want, found)
    want = (want - (-1024)) / 4095  # to which it maps what the window holds
    want = 1 - want if photometric == "MONOCHROME1" else want
    dataset = one(path, window="file")
    assert dataset.white == 1
    np.testing.assert_allclose(dataset.images[0, 0], want, atol=1e-5)


def test_a_window_that_is_given(tmp_path):
    stored = np.array([[-200, -160, 40, 240, 900]], np.int16)
    path = dicom_file(tmp_path / "x.dcm", stored)
    assert one(path, window=[40, 400]).images[0, 0].tolist() == [[0, 0, 0.5, 1, 1]]
    with pytest.raises(DataError, match=r"x.dcm says no window; give one, such as --set"):
        one(path, window="file")
    for wrong in ([40], "lung", [40, 0], [40, "a"]):
        with pytest.raises(ConfigError, match=r"window is \[centre, width\], two numbers"):
            one(path, window=wrong)


def test_frames_are_a_volume_or_slices_of_one_group(tmp_path):
    stored = draw.integers(0, 900, (7, 6, 5)).astype(np.uint16)
    path = dicom_file(tmp_path / "x.dcm", stored, PatientID="p1")
    assert np.array_equal(one(path).images[0, 0], stored)
    for axis in (0, 1, 2):
        cut = one(path, slices=axis)
        assert np.array_equal(cut.images[:, 0], np.moveaxis(stored, axis, 0))
        assert len(set(cut.groups)) == 1 and len(cut.groups) == stored.shape[axis]
        assert cut.names[2] == f"{path}[2]"


@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_files_have_their_scales_in_groups(tmp_path, shared):
    stored = draw.integers(0, 900, (3, 6, 5)).astype(np.uint16)
    scales = [(2.0, -1.0)] if shared else [(1.0, 0.0), (0.5, 3.0), (4.0, -7.0)]
    items = []
    for slope, intercept in scales:
        inner, outer = pydicom.Dataset(), pydicom.Dataset()
        inner.RescaleSlope, inner.RescaleIntercept = slope, intercept
        outer.PixelValueTransformationSequence = [inner]
        items.append(outer)
    key = "Shared" if shared else "PerFrame"
    path = dicom_file(tmp_path / "x.dcm", stored, **{f"{key}FunctionalGroupsSequence": items})
    for i, frame in enumerate(one(path).images[0, 0]):
        slope, intercept = scales[0 if shared else i]
        np.testing.assert_allclose(frame, stored[i] * slope + intercept)


def study(root, **more):
    """20 patients with two files each, half of them without a suffix, as exports are."""
    for i in range(20):
        for j in range(2):
            path = root / "ab"[i % 2] / (f"{i}-{j}.dcm" if j else f"IM{i}")
            pixels = draw.integers(0, 900, (6, 5)).astype(np.uint16)
            tags = {
                "PatientID": f"id-{i}",
                "PatientAge": f"{i + 75:03}Y",
                "PatientSex": "FM"[i % 2],
            }
            dicom_file(path, pixels, InstitutionName="St. Elsewhere", **tags, **more)
    return root


def test_patients_are_kept_together_under_pseudonyms(tmp_path, monkeypatch):
    dataset = load(study(tmp_path / "data", StudyDate="20210309", Manufacturer="ACME"))
    groups = dataset.groups
    assert len(groups) == 40 and all((groups == g).sum() == 2 for g in set(groups))
    homes = [set(groups[own]) for own in dataset.splits.values()]
    assert len(homes) == 3 and len(set.union(*homes)) == sum(map(len, homes)) == 20
    assert not any("id-" in group for group in groups)
    assert {k: v[0] for k, v in dataset.columns.items()} == {
        "site": "St. Elsewhere", "manufacturer": "ACME", "sex": "F", "year": 2021, "age": 75,
    }  # fmt: skip
    assert dataset.columns["age"].max() == 90, "so old are few"
    assert any("TENSORGRAPH_PSEUDONYM_KEY" in note for note in dataset.notes)
    assert np.array_equal(load(tmp_path / "data").groups, groups)
    key = tmp_path / "keys" / "own"
    assert key.stat().st_mode & 0o077 == 0 and len(key.read_text().strip()) == 64
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "other"))
    assert not {*load(tmp_path / "data").groups} & {*groups}


def test_a_key_that_cannot_be(tmp_path, monkeypatch):
    path = dicom_file(tmp_path / "x.dcm", np.zeros((6, 5), np.uint8), PatientID="p1")
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(path / "key"))
    with pytest.raises(ConfigError, match=r"x.dcm/key: File exists; name a file that can be kept"):
        one(path)
    (tmp_path / "short").write_text("secret")
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "short"))
    with pytest.raises(ConfigError, match=r"short, has 6 bytes, and at least 32 are safe"):
        one(path)


def test_files_that_do_not_say_whom_they_show(tmp_path):
    study(tmp_path / "data")
    dicom_file(tmp_path / "data" / "a" / "z.dcm", np.zeros((6, 5), np.uint16))
    dataset = load(tmp_path / "data")
    assert len(set(dataset.groups)) == 21
    assert "1 of 41 files do not say whom they show" in "".join(dataset.notes)


def test_what_may_give_a_patient_away_is_said(tmp_path):
    pixels = np.zeros((6, 5), np.uint8)
    tags = {"PatientName": "Doe^Jane", "PatientID": "4711", "BurnedInAnnotation": "YES"}
    notes = " ".join(one(dicom_file(tmp_path / "jane-1.dcm", pixels, **tags)).notes)
    assert "The paths of some files hold the patient's name or id" in notes
    assert "Text is burned into the pixels" in notes and "Doe" not in notes
    notes = " ".join(one(dicom_file(tmp_path / "scan.dcm", pixels, **tags)).notes)
    assert "paths" not in notes


def test_a_manifest_of_dicom_files(tmp_path):
    study(tmp_path / "data")
    rows = [f"data/{p.relative_to(tmp_path / 'data')},{p.parent.name},s{i % 3},{p.stem},{i / 2}"
            for i, p in enumerate(sorted((tmp_path / "data").rglob("*")))
            if p.is_file()]  # fmt: skip
    table = "\n".join(["path,label,Site,Patient Name,dose", *rows])
    (tmp_path / "m.csv").write_text(table)
    dataset = load(tmp_path / "m.csv")
    assert len(set(dataset.groups)) == 20, "patients from the files"
    assert set(dataset.columns["site"]) == {"s0", "s1", "s2"}, "the manifest's own word counts"
    assert dataset.columns["dose"].dtype == np.float64
    assert set(dataset.columns) == {"site", "sex", "age", "dose"}
    assert any("Left out, because they may say who" in note for note in dataset.notes)


REFUSED = {
    "JPEG lossless": (
        "SC_rgb_jpeg_gdcm",
        r"is compressed \(JPEG L.*, and decoding that takes one of .*libjpeg",
    ),
    "JPEG-LS": ("MR_small_jpeg_ls_lossless", r"is compressed \(JPEG-LS.*pyjpegls"),
    "deflated": ("image_dfl", "is deflated as a whole, which is not read; save it uncompressed"),
    "truncated": ("MR_truncated", "claims 8192 bytes of pixels and is a file of 9630: it is dama"),
    "report": ("reportsi", r"holds no image \(it is SR\); take it out"),
    "deep colour": ("SC_rgb_rle_16bit", "has colours of 16 bits; 8 are read"),
    "no preamble": ("no_meta", "is no DICOM file: 'DICM' does not stand at byte 128"),
    "bad element": ("badVR", r"is damaged or cut short: it cannot be parsed \(\w+\)"),
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read(kind):
    name, says = REFUSED[kind]
    if (
        kind.startswith("JPEG")
        and pydicom.pixels.get_decoder(
            pydicom.dcmread(SAMPLES / f"{name}.dcm").file_meta.TransferSyntaxUID
        ).is_available
    ):
        pytest.skip("it can be decoded here")
    with pytest.raises(DataError, match=rf"{name}.dcm {says}"):
        one(SAMPLES / f"{name}.dcm")


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    path = dicom_file(tmp_path / "x.dcm", np.zeros((6, 5), np.uint8))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"x.dcm is read by pydicom, which is not here: pip insta"):
        one(path)


@pytest.mark.parametrize("slope", [0.0, "nan"])
def test_a_slope_that_is_none(tmp_path, slope):
    path = dicom_file(tmp_path / "x.dcm", np.zeros((6, 5), np.uint8), RescaleIntercept=0)
    found = pydicom.dcmread(path)
    found.add_new("RescaleSlope", "DS", "0.0" if slope == 0.0 else b"1")
    found.save_as(path)
    if slope == "nan":
        path.write_bytes(path.read_bytes().replace(b"S\x02\x001 ", b"S\x02\x00x "))
    with pytest.raises(DataError, match=r"slope is zero|cannot be parsed"):
        one(path)
