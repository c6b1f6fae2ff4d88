"""How often the gate of ``tensorgraph bench --against`` errs on this machine, as it is now.

python bench/gate_trial.py [--repeats 20] [--slower 15] [--json FILE]

Each repeat compares this tree with itself, where every verdict "slower" is a false alarm, and then
with itself and a plugin that makes one kernel 15 % slower, sigmoid's "reciprocal", which has to be
"slower" while all others must not be. What else the machine does is left as it is, and said.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

from tensorgraph_bench.against import compare
from tensorgraph_bench.cases import Selection
from tensorgraph_bench.gate import SLOWER, Rule
from tensorgraph_bench.sides import Process, prepare

ROOT = Path(__file__).resolve().parents[1]
PLANTED = "sigmoid-trial 200x1280 on numpy by reciprocal"
KERNELS = ("reciprocal", "shared", "im2col")
SHAPES = """
[trial]
op = "sigmoid"
rows = [{inputs = [[200, 1280]]}]
[trial-product]
op = "matmul"
columns = ["m", "k", "n"]
rows = [[256, 256, 256]]
[trial-conv]
op = "conv"
rows = [{inputs = [[64, 6, 14, 14], [16, 6, 5, 5]]}]
"""
PLUGIN = """
import time

import tensorgraph
from tensorgraph_numpy.kernels.activation import sigmoid

def burning(x):
    start = time.perf_counter()
    out = sigmoid(x)
    now = time.perf_counter()
    end = now + {part} * (now - start)  # so much longer, whatever the machine does
    while time.perf_counter() < end:
        pass
    return out

@tensorgraph.hookimpl
def register_kernels(register):
    register(backend="numpy", op="sigmoid", name="reciprocal", kernel=burning)
"""


def plugin(folder: Path, percent: float) -> Path:
    """A distribution with a plugin whose kernel takes the place of the backend's own."""
    folder.mkdir()
    (folder / "gate_trial_burner.py").write_text(PLUGIN.format(part=percent / 100), "utf-8")
    info = folder / "gate_trial_burner-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: gate_trial_burner\nVersion: 1\n", "utf-8"
    )
    (info / "entry_points.txt").write_text("[tensorgraph]\nburner = gate_trial_burner\n", "utf-8")
    return folder


def trial(sides, wanted):
    """Compare once: what was slower, the ratio of the planted case, and how it went."""
    start = time.perf_counter()
    outcome = compare(sides, wanted, Rule(), lambda text: None)
    assert not outcome.failures and not outcome.notes, (outcome.failures, outcome.notes)
    found = {each.name: each.judgement for each in outcome.comparisons}
    return {
        "times": {each.name: [each.base, each.head] for each in outcome.comparisons},
        "slower": [name for name, each in found.items() if each.verdict == SLOWER],
        "verdicts": Counter(each.verdict for each in found.values()),
        "planted": found[PLANTED][:4],
        "rounds": max(len(each.base) for each in outcome.comparisons),
        "seconds": time.perf_counter() - start,
        "load": os.getloadavg()[0],
    }


def line(name, i, found):
    verdict, ratio, low, high = found["planted"]
    print(
        f"{i + 1:3} {name:8} sigmoid {ratio:.3f} ({low:.3f} … {high:.3f}) {verdict:8} "
        f"others slower {len(set(found['slower']) - {PLANTED})}, unclear "
        f"{found['verdicts']['unclear']}, rounds {found['rounds']}, {found['seconds']:.0f} s, load "
        f"{found['load']:.1f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--slower", type=float, default=15.0, metavar="PERCENT")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    given = parser.parse_args()
    found = {"same": [], "planted": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shapes.toml").write_text(SHAPES, "utf-8")
        shapes = (str(folder / "shapes.toml"),)
        wanted = Selection(backends=("numpy",), kernels=KERNELS, shapes=shapes)
        base, head = (prepare(side, ROOT, folder / side) for side in ("base", "head"))
        burner = plugin(folder / "burner", given.slower)
        slower = prepare("slower", ROOT, folder / "slower", burner)
        with Process(base) as process:
            print(*process.select(wanted), sep="\n")
        for i in range(given.repeats):
            for kind, side in (("same", head), ("planted", slower)):
                found[kind].append(trial((base, side), wanted))
                line(kind, i, found[kind][-1])
                if given.json:
                    given.json.write_text(json.dumps(found, indent=1), "utf-8")
    alarms = sum(bool(each["slower"]) for each in found["same"])
    caught = sum(PLANTED in each["slower"] for each in found["planted"])
    beside = sum(bool(set(each["slower"]) - {PLANTED}) for each in found["planted"])
    load = [each["load"] for kind in found.values() for each in kind]
    print(f"the same code: a false alarm in {alarms} of {given.repeats}")
    print(f"{given.slower:g} % slower: caught in {caught} of {given.repeats}")
    print(f"another kernel called slower beside it: in {beside}")
    print(f"load {min(load):.1f} to {max(load):.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
