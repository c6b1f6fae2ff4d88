"""The command ``tensorgraph plugin_name``: what it prints, also of mistakes."""

import subprocess
import sys


def run(*arguments):
    command = [sys.executable, "-m", "tensorgraph_cli", "plugin_name", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_counts():
    done = run("lenet5")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["150", "0.weight", "[6,", "1,", "5,", "5]"]
    assert lines[-1].split() == ["61,706", "in", "all"]


def test_options():
    last = run("neuron", "--classes", "2", "--image", "3,4,5").stdout.splitlines()[-1]
    assert last.split() == ["122", "in", "all"]  # 2 · (3 · 4 · 5 + 1)


def test_mistakes_are_one_line():
    done = run("lenet5", "--image", "large")
    assert done.returncode == 2
    assert done.stderr.startswith("tensorgraph: --image 'large': give numbers")
    assert "no model is named 'lenet6'; did you mean 'lenet5'?" in run("lenet6").stderr


def test_help():
    assert "Count the parameters of a model." in run("--help").stdout
