"""Every notebook passes on a real vLLM server too; and the table of its figures says where the two ways differ."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from parity import checkpoint_of, figures, rows, run
from real_server import need_vllm, pid_of_the_run, requests_answered

from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.models.loopback import start_server

NOTEBOOKS = sorted(Path(__file__).parents[1].glob("cookbooks/*.ipynb"))


@pytest.fixture
def url(path, request, tmp_path_factory):
    """The run's server; where a notebook needs another checkpoint, a server for its test alone, since each takes two gigabytes."""
    model = checkpoint_of(path)
    if model == TINY_FOLDER:
        yield request.getfixturevalue("vllm_url")
        return
    need_vllm()
    with start_server("vllm", model, while_pid=pid_of_the_run(), log=tmp_path_factory.mktemp("server") / "log") as server:
        yield server.url


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_passes_on_a_server(path, url):
    before = requests_answered(url)
    notebook, _ = run(path, f"vllm:{url}")  # raises where a cell does, its own assertions among them
    assert figures(notebook), "it prints no figure"
    assert requests_answered(url) > before, "it asked another model"


def test_figures_are_the_lines_with_numbers_under_the_heading():
    def printed(text):
        return new_code_cell("print()", outputs=[new_output("stream", name="stdout", text=text)])

    cells = [printed("before 1\n"), new_markdown_cell("## How good is it?"), printed("94 things\nno number\nmean IoU  0.88\n"),
             new_markdown_cell("## When the reply is broken"), printed("after 2\n")]  # fmt: skip
    assert figures(new_notebook(cells=cells)) == ["94 things", "mean IoU  0.88"]
    assert figures(nbformat.read(NOTEBOOKS[0], as_version=4))


@pytest.mark.parametrize(("here", "there", "row", "reason"), [
    (["mean IoU 0.88"], ["mean IoU 0.87"], "| ocr | mean IoU # | 0.88 | 0.87 |", "a figure that differs"),
    (["right: 23 of 24, 96%"], ["right: 23 of 24, 96%"], "| ocr | right: # of #, # | 23, 24, 96% | 23, 24, 96% |", "several in a line"),
    (["IoU@0.5 9"], ["none found 0"], "| ocr | (other words) | IoU@0.5 9 | none found 0 |", "other words"),
    (["a 1"], [], "| ocr | (other words) | a 1 | (no such line) |", "a line too few"),
    (["a|b 1"], ["a|b 2"], "| ocr | a\\|b # | 1 | 2 |", "a bar would end the cell"),
])  # fmt: skip
def test_a_row_says_where_the_two_ways_differ(here, there, row, reason):
    assert rows("ocr", here, there) == [row], reason
