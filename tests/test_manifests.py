"""CSV manifests: what they may say, and the line that says what they may not."""

import numpy as np
import pytest
from PIL import Image
from tensorgraph_train.sources import resolve_source

import tensorgraph as tg
from tensorgraph.errors import DataError


def manifest(folder, *lines, head="path,label", name="m.csv", n=30):
    (folder / "images").mkdir(exist_ok=True)
    for i in range(n):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(folder / "images" / f"{i}.png")
    (folder / name).write_text("\n".join([head, *lines]) + "\n", "utf-8")
    return folder / name


def rows(n=30, *, groups=False, splits=False):
    for i in range(n):
        cells = [f"images/{i}.png", ("ill", "well")[i % 2]]
        cells += [("train", "train", "val", "test")[i // 2 % 4]] if splits else []
        cells += [f"p{i // 3}"] if groups else []
        yield ",".join(cells)


def load(path, **options):
    source, path = resolve_source(str(path), tg.datasets)
    return source.load(path, **options)


def test_paths_are_relative_to_the_manifest(tmp_path, monkeypatch):
    path = manifest(tmp_path, *rows())
    monkeypatch.chdir("/")
    dataset = load(path)
    assert dataset.images[:, 0, 0, 0].tolist() == list(range(30))
    assert dataset.classes == ("ill", "well") and dataset.labels[:3].tolist() == [0, 1, 0]
    assert {part: len(own) for part, own in dataset.splits.items()} == {
        "train": 20, "val": 4, "test": 6,
    }  # fmt: skip
    assert dataset.groups is None and "same patient" in dataset.notes[0]


@pytest.mark.parametrize(
    ("name", "head"),
    [("m.csv", "\ufeffPath , LABEL"), ("m.csv", "path;label"), ("m.tsv", "path\tlabel")],
)
def test_what_spreadsheets_write(tmp_path, name, head):
    mark = next(c for c in ";\t," if c in head)
    lines = [line.replace(",", mark) + "\r" for line in rows()] + ["", mark]
    assert len(load(manifest(tmp_path, *lines, head=head, name=name)).labels) == 30


def test_quoted_cells_may_hold_commas_and_line_ends(tmp_path):
    path = manifest(tmp_path, *rows(), '"images/0.png","a, or\nb"', "images/x.png,a")
    with pytest.raises(DataError, match=r"line 33: images/0.png is on line 2 already"):
        path.write_text(path.read_text().rsplit("images/x.png", 1)[0])
        load(path)


@pytest.mark.parametrize("column", ["group", "patient", "Patient_ID", "subject"])
@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_torn(tmp_path, seed, column):
    path = manifest(tmp_path, *rows(groups=True), head=f"path,label,{column}")
    dataset = load(path, seed=seed)
    homes = [set(dataset.groups[own]) for own in dataset.splits.values()]
    assert len(homes) == 3 and len(set.union(*homes)) == sum(map(len, homes)) == 10
    assert dataset.notes == ()


def test_official_splits_and_groups_within_train(tmp_path):
    dataset = load(manifest(tmp_path, *rows(splits=True), head="path,label,split"))
    assert dataset.splits["val"].tolist() == [4, 5, 12, 13, 20, 21, 28, 29]
    assert dataset.notes == ()
    lines = [f"images/{i}.png,{'ab'[i % 2]},{'train' if i < 24 else 'test'},p{i // 2}"
             for i in range(30)]  # fmt: skip
    dataset = load(manifest(tmp_path, *lines, head="path,label,split,group"))
    assert dataset.splits["test"].tolist() == list(range(24, 30))
    assert not set(dataset.groups[dataset.splits["val"]]) & set(
        dataset.groups[dataset.splits["train"]]
    )


GOOD = ["images/0.png,a", "images/1.png,b"]


@pytest.mark.parametrize(
    ("head", "lines", "says"),
    [
        ("file,label", GOOD, "m.csv line 1: no column 'path'; the columns are: file, label"),
        ("path,lable", GOOD, "m.csv line 1: no column 'label'; is it 'lable'?"),
        ("path,label", [], "m.csv names no images"),
        ("path,label", [*GOOD, "images/x.png,a", "y.png,a"],
         "m.csv line 4: there is no file 'images/x.png' in"),
        ("path,label", [*GOOD, "images/x.png,a", "y.png,a"], ", and 1 more are missing"),
        ("path,label", [*GOOD, "images/2.png,"], "m.csv line 4: the label is empty"),
        ("path,label", [*GOOD, "images/2.png"],
         "m.csv line 4: the number of cells is 1, and line 1 has 2; put text"),
        ("path,label", [*GOOD, "m.csv,a"], "m.csv line 4: m.csv is none of png, jpg"),
        ("path,label", [*GOOD, "images/../images/0.png,b"],
         "m.csv line 4: images/../images/0.png is on line 2 already"),
        ("path,label", ["images/0.png,a", "images/1.png,a"], "has one class only: 'a'"),
        ("path,label", [*GOOD, "images/2.png,a"], "class 'a' has 2 images, too few"),
        ("path,label,split", ["images/0.png,a,train", "images/1.png,b,tset"],
         "m.csv line 3: the split 'tset' is none of train, val, test; did you mean 'test'?"),
        ("path,label,split", ["images/0.png,a,train", "images/1.png,b,"],
         "m.csv line 3: the split is empty, and other lines give one"),
        ("path,label,split", ["images/0.png,a,test", "images/1.png,b,test"],
         "m.csv: no line has the split 'train'"),
        ("path,label,group,patient", [f"{row},p1,p1" for row in GOOD],
         "m.csv line 1: the columns group and patient both say which images belong together"),
        ("path,label,group", ["images/0.png,a,p1", "images/1.png,b,"],
         "m.csv line 3: the group is empty"),
        ("path,label,split,group", ["images/0.png,a,train,p1", "images/1.png,b,test,p1"],
         "m.csv line 3: the group 'p1' is in test here and in train on line 2"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path, head, lines, says):
    path = manifest(tmp_path, *lines, head=head)
    with pytest.raises(DataError) as error:
        load(path)
    assert says in str(error.value)


def test_a_manifest_in_another_encoding(tmp_path):
    path = manifest(tmp_path, *GOOD)
    path.write_bytes("path,label\nimages/0.png,gesund\nimages/1.png,Grünstar\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"m.csv is not in UTF-8: .*; save it as UTF-8"):
        load(path)
