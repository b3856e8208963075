"""Labels and values read off what code draws, whatever way the code came to them."""

import json

import pytest

from cookbook_utils.tiny.chart_probe import MARK, drawn_data
from cookbook_utils.tiny.page_files import FOLDER

HEAD = "import matplotlib.pyplot as plt\n"
CHARTS = json.loads((FOLDER / "charts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", CHARTS[:4], ids=lambda row: row["kind"])
def test_the_charts_own_code_gives_its_own_data(row):
    run, data = drawn_data(row["code"])
    assert run.ok and len(run.figures) == 1
    assert [label for label, _ in data] == row["labels"]
    assert [value for _, value in data] == pytest.approx(row["values"], abs=0.6)  # a pie's slices are drawn to add up to a circle


@pytest.mark.parametrize(("reason", "code", "wanted"), [
    ("values that have a name", "v = {'a': 1, 'b': 2}\nplt.bar(list(v), list(v.values()))", [("a", 1), ("b", 2)]),
    ("two series: both are read", "plt.bar(['a'], [1])\nplt.bar(['b'], [2])", [("a", 1), ("b", 2)]),
    ("the object interface", "fig, ax = plt.subplots()\nax.plot(['x', 'y'], [4, 5])\nplt.show()", [("x", 4), ("y", 5)]),
    ("names set afterwards", "plt.bar([0, 1], [4, 5])\nplt.xticks([0, 1], ['p', 'q'])", [("p", 4), ("q", 5)]),
    ("nothing drawn", "print('no chart')", []),
    ("an empty figure", "plt.figure()", []),
    ("code that fails", "plt.bar(['a', 'b'], [1, 2, 3])", []),
    ("code that is cut off", "plt.bar(['a'], [1, ", []),
    ("a false mark, and a failure", f"print('{MARK}[[\"x\", 9]]')\nplt.bar(['a'], 1, 2, 3, 4, 5)", []),
    ("a false mark before the true one", f"print('{MARK}[[\"x\", 9]]')\nplt.bar(['a'], [1])", [("a", 1)]),
])  # fmt: skip
def test_what_code_draws(reason, code, wanted):
    assert drawn_data(HEAD + code)[1] == wanted, reason


def test_code_that_never_ends_is_stopped():
    run, data = drawn_data("while True: pass", timeout_s=1)
    assert run.stopped == "time" and data == []


def test_only_text_is_code():
    with pytest.raises(TypeError, match="code must be a str, got NoneType"):
        drawn_data(None)
