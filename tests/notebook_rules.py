"""The form that every notebook keeps: one small function per rule, each returning its complaints about one notebook.

`complaints(notebook, name)` applies them all. A rule reads the notebook as stored, outputs included, and never runs it.
`tests/test_notebooks.py` breaks a good notebook once per rule, so that every rule is known to be able to complain.
"""

import ast
import json
import re
import statistics
from collections.abc import Callable, Iterator

from nbformat import NotebookNode

SLUG = "qwen3-vl-cookbooks/qwen3-vl-cookbooks"  # owner/name on GitHub: the badges point there
BADGE = "https://colab.research.google.com/github/{slug}/blob/main/cookbooks/{name}"
TABLE_ROWS = ("input", "output", "backend", "minutes", "visual tokens")
HOW_GOOD, BROKEN, OWN_PICTURE = "How good is it?", "When the reply is broken", "On your own picture, on the real model"
MAX_BYTES = 1_500_000
MAX_LINES, MEDIAN_LINES = 30, 8

# The first code cell of every notebook; outside Colab it does nothing.
BOOTSTRAP = f'''
import sys

if "google.colab" in sys.modules:  # on Colab only: fetch the collection and what it needs
    import os, subprocess
    subprocess.run(["git", "clone", "--depth=1", "https://github.com/{SLUG}"], check=True)
    os.chdir("{SLUG.split("/")[1]}")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-r", "requirements.txt"], check=True)
    subprocess.run([sys.executable, "-m", "cookbook_utils.doctor", "--install"], check=True)
    sys.path.insert(0, os.getcwd())
    os.chdir("cookbooks")
'''.strip()

Rule = Callable[[NotebookNode, str], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Adds a function to `RULES` under its own name."""
    RULES[function.__name__] = function
    return function


def complaints(notebook: NotebookNode, name: str) -> list[str]:
    """What is wrong with the form of a notebook, as `rule: complaint`; `name` is its file's name."""
    return [f"{rule_name}: {text}" for rule_name, check in RULES.items() for text in check(notebook, name)]


# --- reading a notebook ---------------------------------------------------------------------------------------------


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Its code cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def first_cell(notebook: NotebookNode) -> str:
    """The source of its first cell if that is Markdown, else nothing."""
    cell = notebook.cells[0] if notebook.cells else None
    return cell.source if cell is not None and cell.cell_type == "markdown" else ""


def syntax_tree(source: str) -> ast.Module:
    """The cell as Python, with a `pass` for each line of IPython magic."""
    return ast.parse(re.sub(r"(?m)^(\s*)[!%].*", r"\1pass", source))


def section(notebook: NotebookNode, title: str) -> list[NotebookNode]:
    """The cells under a `## title` heading, up to the next heading of its level or above; empty without it."""
    cells, inside = [], False
    for cell in notebook.cells:
        heading = re.match(r"#{1,2} +(.*)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            inside = heading[1].strip() == title
        if inside:
            cells.append(cell)
    return cells


def all_text(notebook: NotebookNode) -> str:
    """Everything readable in it: sources, printed output, metadata; not the bytes of pictures."""
    return "\n".join(_strings(notebook))


def _strings(node) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from [] if key.startswith("image/") else _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def is_bootstrap(cell: NotebookNode) -> bool:
    """Whether a cell does nothing outside Colab: only imports, and `if` blocks that ask for `google.colab`."""
    try:
        statements = syntax_tree(cell.source).body
    except SyntaxError:
        return False
    guarded = [s for s in statements if isinstance(s, ast.If) and "google.colab" in ast.unparse(s.test) and not s.orelse]
    imports = [s for s in statements if isinstance(s, ast.Import)]
    return bool(guarded) and len(guarded) + len(imports) == len(statements)


# --- the head -------------------------------------------------------------------------------------------------------


@rule
def title(notebook: NotebookNode, name: str) -> Iterator[str]:
    if not re.match(r"# \S", first_cell(notebook)):
        yield "the first cell is not Markdown that begins with '# Title'"


@rule
def promise(notebook: NotebookNode, name: str) -> Iterator[str]:
    paragraphs = [p.strip() for p in first_cell(notebook).split("\n\n")]
    prose = [p for p in paragraphs if p and p[0] not in "#[!|<"]
    if not prose or not re.fullmatch(r"[^.!?](?:[^.!?]|[.!?](?!\s))*[.!?]", prose[0], re.DOTALL):
        yield "under the title stands no paragraph of exactly one sentence"


@rule
def badge(notebook: NotebookNode, name: str) -> Iterator[str]:
    url = BADGE.format(slug=SLUG, name=name)
    if f"({url})" not in first_cell(notebook) and f'"{url}"' not in first_cell(notebook):
        yield f"the first cell has no badge that links to {url}"


@rule
def facts_table(notebook: NotebookNode, name: str) -> Iterator[str]:
    table = "\n".join(line for line in first_cell(notebook).lower().splitlines() if line.startswith("|"))
    missing = [row for row in TABLE_ROWS if row not in table]
    if missing:
        yield f"the first cell's table does not say: {', '.join(missing)}"


@rule
def bootstrap(notebook: NotebookNode, name: str) -> Iterator[str]:
    cells = code_cells(notebook)
    if not cells or not is_bootstrap(cells[0]):
        yield "the first code cell is not imports plus `if \"google.colab\" in sys.modules:`, inert elsewhere"


@rule
def kernel(notebook: NotebookNode, name: str) -> Iterator[str]:
    kernel_name = notebook.metadata.get("kernelspec", {}).get("name")
    if kernel_name != "python3":
        yield f"the kernel is {kernel_name!r}, not 'python3', so another interpreter may run it"


# --- the sections ---------------------------------------------------------------------------------------------------


@rule
def sections(notebook: NotebookNode, name: str) -> Iterator[str]:
    for wanted in (HOW_GOOD, BROKEN, OWN_PICTURE):
        if len(section(notebook, wanted)) < 2:
            yield f"no section '## {wanted}', or nothing in it"


@rule
def asserts_its_quality(notebook: NotebookNode, name: str) -> Iterator[str]:
    cells = [cell for cell in section(notebook, HOW_GOOD) if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.walk(syntax_tree(cell.source)) if isinstance(node, ast.Assert)]
    if all(isinstance(node.test, ast.Constant) for node in nodes):
        yield f"'{HOW_GOOD}' asserts nothing, so a bad result would pass"


# --- the cells ------------------------------------------------------------------------------------------------------


@rule
def short_cells(notebook: NotebookNode, name: str) -> Iterator[str]:
    lengths = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in code_cells(notebook)]
    if max(lengths, default=0) > MAX_LINES:
        yield f"a cell has {max(lengths)} lines, more than {MAX_LINES}"
    if lengths and statistics.median(lengths) > MEDIAN_LINES:
        yield f"half the cells have {statistics.median(lengths):g} lines or more, above {MEDIAN_LINES}"


@rule
def no_helpers(notebook: NotebookNode, name: str) -> Iterator[str]:
    for cell in code_cells(notebook):
        for line in re.findall(r"(?m)^\s*((?:async +def|def|class) +\w+)", cell.source):
            yield f"defines `{line}`; helpers live in cookbook_utils"


@rule
def no_silent_shell(notebook: NotebookNode, name: str) -> Iterator[str]:
    silent = re.compile(r"(?m)^\s*(!.*|%{1,2}(?:pip|conda|sx|system|bash|sh|script)\b.*|%%!.*)|(get_ipython\(\)\.system.*)")
    for cell in code_cells(notebook):
        found = silent.search(cell.source)
        if found and not is_bootstrap(cell):
            yield f"`{found[0].strip()}` may fail and the notebook still passes"


@rule
def no_skipping_tags(notebook: NotebookNode, name: str) -> Iterator[str]:
    for cell in notebook.cells:
        for tag in {"raises-exception", "skip-execution"} & set(cell.metadata.get("tags", [])):
            yield f"a cell carries the tag {tag}"


# --- what is stored -------------------------------------------------------------------------------------------------


@rule
def no_error_outputs(notebook: NotebookNode, name: str) -> Iterator[str]:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if output.output_type == "error" or "Traceback (most recent call last)" in output.get("text", ""):
                yield f"cell [{cell.execution_count}] stores an error"


@rule
def outputs_kept(notebook: NotebookNode, name: str) -> Iterator[str]:
    kinds = [kind for cell in code_cells(notebook) for output in cell.outputs for kind in output.get("data", {})]
    if not any(kind.startswith("image/") for kind in kinds):
        yield "no picture is stored in it"


@rule
def run_in_order(notebook: NotebookNode, name: str) -> Iterator[str]:
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"was not run once from the top: execution counts {counts}"


@rule
def small(notebook: NotebookNode, name: str) -> Iterator[str]:
    size = len(json.dumps(notebook, ensure_ascii=False, indent=1).encode())
    if size > MAX_BYTES:
        yield f"has {size / 1e6:.2f} MB, more than {MAX_BYTES / 1e6} MB"


@rule
def no_secrets(notebook: NotebookNode, name: str) -> Iterator[str]:
    kinds = {
        "an API key": r"\bsk-[A-Za-z0-9_-]{16,}",
        "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
        "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}",
        "a cloud key": r"\bAKIA[0-9A-Z]{16}\b|\bLTAI[0-9A-Za-z]{12,}|\bAIza[\w-]{35}",
        "a bearer token": r"\bBearer [\w.~+/-]{20,}",
        "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
        "a key written out": r"(?i)(?:api_?key|token|secret|password)\\?[\"']?\s*[:=]\s*\\?[\"'][\w-]{12,}",
    }
    text = all_text(notebook)
    yield from (f"contains what looks like {kind}" for kind, pattern in kinds.items() if re.search(pattern, text))


@rule
def no_machine_paths(notebook: NotebookNode, name: str) -> Iterator[str]:
    found = re.search(r"(?<![\w.~/-])/(?:root|home|work|Users)\b(?:/[\w.-]+)*", all_text(notebook))
    if found:
        yield f"contains a path of one machine: {found[0]}"
