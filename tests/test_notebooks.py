"""Every notebook keeps the house's form, and every rule of it can say no. That the notebooks run is nbmake's test."""

import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebook_rules import BADGE, BOOTSTRAP, BROKEN, HOW_GOOD, OWN_PICTURE, RULES, SLUG, complaints

NOTEBOOKS = sorted(Path(__file__).parents[1].glob("cookbooks/*.ipynb"))
NAME = "2d_grounding.ipynb"
HEAD = f"""# 2D grounding

Name a thing, and get a box around it.

[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({BADGE.format(slug=SLUG, name=NAME)})

| Input | Output | Backend | Minutes | Visual tokens |
|---|---|---|---|---|
| a picture | boxes | any | 1 | 64 |"""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_keeps_the_form(path):
    assert not complaints(nbformat.read(path, as_version=4), path.name)


def test_the_kernel_python3_is_this_interpreter():
    assert KernelSpecManager().get_kernel_spec("python3").argv[0] in (sys.executable, "python", "python3")


def good_notebook() -> nbformat.NotebookNode:
    """A notebook about which no rule complains: head, bootstrap, imports, and the three sections."""
    picture = new_output("display_data", {"image/png": "aGk=", "text/plain": "<PIL.Image>"})
    codes = [
        new_code_cell(BOOTSTRAP),
        new_code_cell("from cookbook_utils import load_model\n\nmodel = load_model()"),
        new_code_cell("reply = model.ask(prompt)\nshow(reply)", outputs=[picture]),
        new_code_cell("mean_iou = score(reply)\nassert mean_iou > 0.5"),
        new_code_cell("parse_boxes(broken).dropped"),
        new_code_cell('model = load_model("dashscope:NAME")'),
    ]
    for count, cell in enumerate(codes, 1):
        cell.execution_count = count
    headings = [new_markdown_cell(f"## {text}") for text in (HOW_GOOD, BROKEN, OWN_PICTURE)]
    tail = [cell for pair in zip(headings, codes[3:]) for cell in pair]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=[new_markdown_cell(HEAD), *codes[:3], *tail], metadata=kernel)


def edit(cell: int, old: str, new: str):
    """A way to break a notebook: replaces text in the source of one cell."""

    def change(notebook):
        assert old in notebook.cells[cell].source
        notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)

    return change


def store(cell: int, output):
    """A way to break a notebook: adds a stored output to one cell."""
    return lambda notebook: notebook.cells[cell].outputs.append(output)


def printed(text: str):
    return new_output("stream", name="stdout", text=text)


# (the rule that must complain, how the notebook is broken, what that stands for)
# Cell 0 is the head, 1 the bootstrap, 3 a call with a picture, 4 and 5 the measured quality.
FAULTS = [
    ("title", edit(0, "# 2D", "## 2D"), "no title"),
    ("title", lambda nb: nb.cells.pop(0), "begins with code"),
    ("promise", edit(0, "Name a thing, and get a box around it.", ""), "no promise"),
    ("promise", edit(0, "around it.", "around it. And points. And more."), "three sentences"),
    ("promise", edit(0, "around it.", "around it"), "not a sentence"),
    ("badge", edit(0, NAME, "ocr.ipynb"), "opens another notebook"),
    ("badge", edit(0, "/main/", "/dev/"), "opens another branch"),
    ("badge", edit(0, SLUG, "somebody/else"), "opens another repository"),
    ("facts_table", edit(0, "Visual tokens", "Size"), "cost not stated"),
    ("facts_table", edit(0, "|", ""), "no table at all"),
    ("bootstrap", edit(1, 'if "google.colab" in sys.modules:', "if True:"), "installs everywhere"),
    ("bootstrap", edit(1, "import sys\n", "import sys\nprint(sys.path)\n"), "does something outside Colab"),
    ("bootstrap", lambda nb: nb.cells.pop(1), "no bootstrap"),
    ("kernel", lambda nb: nb.metadata.kernelspec.update(name="my-env"), "somebody's own kernel"),
    ("sections", edit(4, HOW_GOOD, "Results"), "no measured quality"),
    ("sections", lambda nb: nb.cells.pop(7), "a heading with nothing under it"),
    ("asserts_its_quality", edit(5, "assert mean_iou > 0.5", "print(mean_iou)"), "prints its number only"),
    ("asserts_its_quality", edit(5, "assert mean_iou > 0.5", "assert True"), "asserts nothing"),
    ("asserts_its_quality", edit(5, "assert", "# assert"), "the assertion is commented out"),
    ("short_cells", edit(3, "show(reply)", "show(reply)\n" * 30), "a cell of 31 lines"),
    ("short_cells", lambda nb: [cell.update(source="x = 1\n" * 9) for cell in nb.cells[1:6]], "long cells throughout"),
    ("no_helpers", edit(3, "show(reply)", "def show(x):\n    pass"), "a function"),
    ("no_helpers", edit(3, "show(reply)", "class Box:\n    pass"), "a class"),
    ("no_silent_shell", edit(3, "show(reply)", "!pip install x"), "a shell line, whose failure passes"),
    ("no_silent_shell", edit(3, "show(reply)", "%pip install x"), "the pip magic, whose failure passes"),
    ("no_silent_shell", edit(3, "reply =", "%%bash\nreply ="), "a shell cell"),
    ("no_skipping_tags", lambda nb: nb.cells[3].metadata.update(tags=["raises-exception"]), "passes without raising"),
    ("no_skipping_tags", lambda nb: nb.cells[3].metadata.update(tags=["skip-execution"]), "never runs"),
    ("no_error_outputs", store(3, new_output("error", ename="ValueError", evalue="", traceback=[])), "a stored error"),
    ("no_error_outputs", store(3, printed("Traceback (most recent call last):")), "a printed traceback"),
    ("outputs_kept", lambda nb: nb.cells[3].outputs.clear(), "outputs stripped"),
    ("run_in_order", lambda nb: nb.cells[3].update(execution_count=7), "a cell run again later"),
    ("run_in_order", lambda nb: nb.cells[3].update(execution_count=None), "a cell never run"),
    ("small", store(3, new_output("display_data", {"image/png": "a" * 1_500_000})), "a huge picture"),
    ("no_secrets", edit(3, "reply =", f"key = 'sk-{'a1' * 12}'\nreply ="), "an API key"),
    ("no_secrets", store(3, printed(f"logged in\nhf_{'a1' * 17}")), "a token in an output"),
    ("no_secrets", edit(3, "reply =", f"api_key = '{'0f' * 16}'\nreply ="), "a key without a known prefix"),
    ("no_machine_paths", edit(3, "prompt", "'/" + "home/ann/cat.png'"), "a path in the code"),
    ("no_machine_paths", store(3, printed("saved:\n/" + "root/x/out.png")), "a path in an output"),
]


def test_a_good_notebook_passes_every_rule():
    assert complaints(good_notebook(), NAME) == []


@pytest.mark.parametrize(("rule", "break_it", "reason"), FAULTS, ids=[f"{rule}-{reason}" for rule, _, reason in FAULTS])
def test_a_broken_notebook_is_reported_by_its_rule(rule, break_it, reason):
    notebook = good_notebook()
    break_it(notebook)
    assert list(RULES[rule](notebook, NAME)), reason


def test_every_rule_is_shown_to_complain():
    assert {rule for rule, _, _ in FAULTS} == set(RULES)
