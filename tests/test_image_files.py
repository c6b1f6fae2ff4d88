"""Folders, manifests and single images: every kind of file that is read, and what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tensorgraph_train.sources import resolve_source
from tensorgraph_vision.files import ImageFiles
from tensorgraph_vision.pictures import Pictures

import tensorgraph as tg
from tensorgraph.errors import DataError

draw = np.random.default_rng(0)


def grey(height=6, width=5, dtype=np.uint8):
    return draw.integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)


def rgb(height=6, width=5):
    return draw.integers(0, 256, (height, width, 3), np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def folder(root, classes=("cat", "dog"), n=10, suffix=".png", make=grey):
    return {
        f"{name}/{i:02}{suffix}": save(root / name / f"{i:02}{suffix}", make())
        for name in classes
        for i in range(n)
    }


def load(path, **options):
    source, path = resolve_source(str(path), tg.datasets)
    return source.load(path, **options)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
@pytest.mark.parametrize(
    ("make", "white"), [(grey, 255), (rgb, 255), (lambda: grey(dtype=np.uint16), 65535)]
)
def test_formats_keep_every_value(tmp_path, suffix, make, white):
    if white == 65535 and suffix == ".bmp":
        pytest.skip("BMP has no 16-bit grey")
    saved = folder(tmp_path, suffix=suffix, make=make)
    dataset = load(tmp_path)
    assert dataset.white == white and dataset.names == list(saved)
    assert dataset.classes == ("cat", "dog") and dataset.labels.tolist() == [0] * 10 + [1] * 10
    assert {part: len(own) for part, own in dataset.splits.items()} == {
        "train": 14, "val": 2, "test": 4,
    }  # fmt: skip
    for got, pixels in zip(dataset.images, saved.values(), strict=True):
        assert np.array_equal(got, pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def test_jpeg_is_what_pillow_reads_and_stands_upright(tmp_path):
    pixels = np.repeat(np.arange(0, 240, 10, np.uint8)[:, None], 16, axis=1)
    turned = Image.Exif()
    turned[0x0112] = 6  # lies on its side, to be turned by 90 degrees
    for name in ("a", "b"):
        save(tmp_path / name / "x.jpg", pixels)
        save(tmp_path / name / "y.jpeg", np.rot90(pixels).copy(), exif=turned)
    images = load(tmp_path, val=0.0, test=0.0).images
    assert images.shape == (4, 1, 24, 16)
    assert np.abs(images[:, 0].astype(int) - pixels).max() <= 4


def test_memory_decides_when_files_are_read_and_not_what(tmp_path):
    folder(tmp_path, make=rgb)
    eager = load(tmp_path, resize=[4, 7])
    lazy = load(tmp_path, resize=[4, 7], cache=100)
    assert isinstance(eager.images, np.ndarray) and isinstance(lazy.images, ImageFiles)
    assert lazy.images.shape == eager.images.shape == (20, 3, 4, 7) and len(lazy.images) == 20
    for index in (np.array([3, 19, 3]), np.arange(20), np.array([], int), slice(2, 5), 7):
        assert np.array_equal(lazy.images[index], eager.images[index])
    assert "1.6 KiB: 100 bytes of them are kept, and the others read again" in lazy.notes[-1]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_what_is_kept_is_bounded_and_never_read_again(tmp_path, workers, monkeypatch):
    folder(tmp_path, make=rgb)  # 90 bytes an image
    images = load(tmp_path, cache=500, workers=workers).images
    first = images[np.arange(20)]
    assert len(images.kept) == 5 and images.room == 50
    kept, reads = [*images.kept], []
    pixels = Pictures.pixels
    monkeypatch.setattr(Pictures, "pixels", lambda *a: reads.append(a[1]) or pixels(*a))
    assert np.array_equal(images[np.arange(20)], first)
    assert len(reads) == 15 and not {images.paths[i] for i in kept} & {*reads}


def test_grey_and_colour_mixed_are_read_as_rgb(tmp_path):
    folder(tmp_path)
    colour = save(tmp_path / "cat" / "00.png", rgb())
    dataset = load(tmp_path)
    assert dataset.images.shape[1] == 3
    assert np.array_equal(dataset.images[0], colour.transpose(2, 0, 1))
    assert np.array_equal(dataset.images[1, 0], dataset.images[1, 2])
    assert "1 of 20 images are in colour; the grey ones are read as RGB." in dataset.notes
    one = load(tmp_path, channels=1)
    luma = (colour * [0.299, 0.587, 0.114]).sum(-1)  # ITU-R BT.601
    assert one.images.shape[1] == 1 and np.abs(one.images[0, 0] - luma).max() <= 0.51


def test_8_and_16_bits_mixed_are_refused_or_scaled(tmp_path):
    folder(tmp_path)
    deep = save(tmp_path / "dog" / "09.png", grey(dtype=np.uint16))
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value) == (
        "images of different bit depths: cat/00.png has 8 bits and dog/09.png 16; save all with "
        "one, or scale them to 16 with --set data.options.bits=16"
    )
    dataset = load(tmp_path, bits=16)
    first = np.asarray(Image.open(tmp_path / "cat" / "00.png"))
    assert dataset.white == 65535 and np.array_equal(dataset.images[-1, 0], deep)
    assert np.array_equal(dataset.images[0, 0], first * np.uint16(257))


def test_what_is_transparent_is_refused_and_palettes_are_colours(tmp_path):
    folder(tmp_path)
    pixels = np.dstack([rgb(), np.full((6, 5), 255, np.uint8)])
    save(tmp_path / "cat" / "00.png", pixels)
    Image.fromarray(rgb()).quantize(16).save(tmp_path / "cat" / "01.png")
    palette = np.asarray(Image.open(tmp_path / "cat" / "01.png").convert("RGB"))
    dataset = load(tmp_path)
    assert np.array_equal(dataset.images[0], pixels[..., :3].transpose(2, 0, 1))
    assert np.array_equal(dataset.images[1], palette.transpose(2, 0, 1))
    assert "An alpha channel that hides nothing is dropped." in dataset.notes
    pixels[3, 3, 3] = 254
    save(tmp_path / "cat" / "00.png", pixels)
    with pytest.raises(DataError, match=r"cat/00.png has an alpha channel that hides some of its"):
        load(tmp_path)
    Image.fromarray(rgb()).quantize(16).save(tmp_path / "cat" / "00.png", transparency=b"\x00")
    with pytest.raises(DataError, match="save it without transparency"):
        load(tmp_path)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_16_bit_colour_is_read_at_8_and_said(tmp_path):
    deep = draw.integers(0, 65536, (6, 5, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    head = struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
    folder(tmp_path, make=rgb)
    (tmp_path / "cat" / "00.png").write_bytes(png + chunk(b"IEND", b""))
    dataset = load(tmp_path)
    assert np.array_equal(dataset.images[0], (deep >> 8).transpose(2, 0, 1))
    assert "Of 16-bit colour the upper 8 bits are read." in dataset.notes


def test_16_bits_are_resized_in_16_bits(tmp_path):
    ramp = np.repeat(np.arange(0, 50001, 10000, dtype=np.uint16)[:, None], 5, axis=1)
    folder(tmp_path, make=lambda: ramp)
    images = load(tmp_path, resize=[12, 5]).images
    assert images.dtype == np.uint16 and images.shape == (20, 1, 12, 5)
    # twice as high: each new row lies a quarter of a step beside an old one
    want = np.clip(np.arange(12) * 5000 - 2500, 0, 50000)
    assert np.array_equal(images[3, 0, :, 2], want)
    thirds = load(tmp_path, resize=[18, 5]).images[0, 0, 1:5, 0]
    assert thirds.tolist() == [0, 3333, 6667, 10000]


def test_a_stack_of_pages_gives_the_first(tmp_path):
    folder(tmp_path)
    first, second = Image.fromarray(grey()), Image.fromarray(grey())
    first.save(tmp_path / "cat" / "10.tif", save_all=True, append_images=[second])
    dataset = load(tmp_path)
    assert np.array_equal(dataset.images[10, 0], np.asarray(first))
    assert "Of files with several pages the first is read." in dataset.notes


def test_sizes_that_differ_name_two_files_and_the_way_out(tmp_path):
    folder(tmp_path)
    save(tmp_path / "dog" / "05.png", grey(8, 9))
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert str(error.value) == (
        "images of different sizes: cat/00.png is 6x5 and dog/05.png is 8x9 (height x width); "
        "bring all to one, for example with --set data.resize=[6, 5]"
    )
    assert load(tmp_path, resize=[6, 5]).images.shape == (20, 1, 6, 5)


def cut(path, keep=0.6):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    folder(tmp_path, suffix=suffix, make=lambda: rgb(64, 64))
    cut(tmp_path / "dog" / f"03{suffix}")
    with pytest.raises(DataError, match=rf"dog/03{suffix} cannot be read as an image: it is dam"):
        load(tmp_path)
    (tmp_path / "dog" / f"03{suffix}").write_bytes(b"")
    with pytest.raises(DataError, match=rf"dog/03{suffix} cannot be read"):
        load(tmp_path, cache=1)


def test_a_file_that_is_gone_is_named(tmp_path):
    folder(tmp_path)
    lazy = load(tmp_path, cache=1).images
    (tmp_path / "dog" / "03.png").unlink()
    with pytest.raises(DataError, match=r"dog/03.png cannot be read: No such file"):
        lazy[np.arange(20)]
    with pytest.raises(
        DataError, match=r"cat is a folder; name the images in it, such as .*cat/\*"
    ):
        tg.datasets["image"].load(tmp_path / "cat")


def test_pixels_that_are_not_read(tmp_path):
    folder(tmp_path, suffix=".tif")
    save(tmp_path / "cat" / "04.tif", np.zeros((6, 5), np.float32))
    with pytest.raises(DataError, match=r"cat/04.tif has pixels of Pillow's mode 'F'; what is"):
        load(tmp_path)


def test_a_format_that_only_bears_the_name_is_refused(tmp_path):
    folder(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(grey()).save(buffer, "gif")
    (tmp_path / "cat" / "02.png").write_bytes(buffer.getvalue())
    with pytest.raises(
        DataError, match=r"cat/02.png cannot be read as an image: it is none of PNG"
    ):
        load(tmp_path)


def test_hidden_files_are_passed_over_and_others_counted(tmp_path):
    folder(tmp_path)
    for name in ("cat/.DS_Store", "cat/Thumbs.db", ".git/x.png", "__MACOSX/._a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    assert len(load(tmp_path).notes) == 1  # on patients
    (tmp_path / "cat" / "scan.dcm").write_bytes(b"?")
    (tmp_path / "dog" / "README").write_bytes(b"?")
    (tmp_path / "owl").mkdir()
    notes = load(tmp_path).notes
    assert "2 files that are not images were skipped (.dcm, README)." in notes
    assert "The folder owl has no images and is no class." in notes


def test_subfolders_of_a_class_belong_to_it_and_numbers_are_sorted_as_such(tmp_path):
    folder(tmp_path / "10", classes=("p1", "p2"))
    folder(tmp_path / "9", classes=("p3",))
    dataset = load(tmp_path)
    assert dataset.classes == ("9", "10") and np.bincount(dataset.labels).tolist() == [10, 20]


def test_without_classes(tmp_path):
    save(tmp_path / "x.png", grey())
    with pytest.raises(DataError, match="has images and no subfolders; images belong into a sub"):
        load(tmp_path)
    (tmp_path / "labels.csv").write_text("path,label\nx.png,a\n")
    (tmp_path / "images").mkdir()
    (tmp_path / "x.png").rename(tmp_path / "images" / "x.png")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    assert "has one class only, 'images'" in str(error.value)
    assert "if labels.csv lists them, give its path as the data" in str(error.value)
    with pytest.raises(DataError, match=r"has no images \(png, .*\), but .csv; images bel"):
        (tmp_path / "images" / "x.png").unlink()
        tg.datasets.folder.load(tmp_path)


def test_official_parts(tmp_path):
    for part, n in {"train": 8, "valid": 2, "test": 3}.items():
        folder(tmp_path / part, n=n)
    dataset = load(tmp_path)
    assert dataset.classes == ("cat", "dog") and dataset.notes == ()
    assert {part: len(own) for part, own in dataset.splits.items()} == {
        "train": 16, "val": 4, "test": 6,
    }  # fmt: skip
    for part, own in dataset.splits.items():
        assert all(dataset.names[i].startswith(part) for i in own)
    save(tmp_path / "test" / "dogs" / "x.png", grey())
    with pytest.raises(DataError, match=r"test has the class 'dogs', which train has not.*'dog'?"):
        load(tmp_path)
    (tmp_path / "test" / "dogs").rename(tmp_path / "more")
    with pytest.raises(DataError, match="has the parts test, train, val and beside them 'more'"):
        load(tmp_path)


def test_official_test_part_without_val_takes_it_from_train(tmp_path):
    for part, n in {"train": 10, "test": 3}.items():
        folder(tmp_path / part, n=n)
    dataset = load(tmp_path, val=0.2)
    assert {part: len(own) for part, own in dataset.splits.items()} == {
        "train": 16, "val": 4, "test": 6,
    }  # fmt: skip
    assert "same patient" in dataset.notes[0]


def test_a_single_image_has_no_label(tmp_path):
    pixels = save(tmp_path / "x.jpg", np.full((6, 5), 99, np.uint8))
    dataset = load(tmp_path / "x.jpg", resize=[3, 3], channels=3)
    assert dataset.labels is None and dataset.images.shape == (1, 3, 3, 3)
    assert np.all(dataset.images == pixels[0, 0]) and dataset.names == [str(tmp_path / "x.jpg")]
