"""The house rules that a program can check: who imports whom, what stays light, and that README, CI and requirements agree."""

import ast
import importlib
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import cookbook_utils

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cookbook_utils"
LAYERS = ("leaf", "models", "batch", "agents", "tiny")  # each may import only from those before it
HEAVY = ("torch", "transformers", "open3d", "openai", "matplotlib", "cv2", "playwright", "ray")
MAX_LINES = 450
PYTHON_FILES = sorted(path for folder in ("cookbook_utils", "tests") for path in (ROOT / folder).rglob("*.py"))
MODULES = [path for path in PYTHON_FILES if path.is_relative_to(PACKAGE)]
LEAVES = [path for path in MODULES if path.parent == PACKAGE and path.name != "__init__.py"]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- imports --------------------------------------------------------------------------------------------------------


def imports(source: str, folder: str = "cookbook_utils") -> set[str]:
    """Dotted names that a module in `folder` imports, anywhere in it; relative imports made absolute."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = folder.split("/")[: 1 - node.level or None] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            # `from . import x` and `from cookbook_utils import x` name the module x; else x is a name in the module.
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "cookbook_utils" else {base}
    return found


def layer_of(module: str) -> str:
    """The layer of a dotted name in our package: its sub-package, or `leaf`."""
    part = module.split(".")[1]
    return part if part in LAYERS else "leaf"


def imports_upwards(source: str, folder: str) -> list[str]:
    """Modules of ours that a module in `folder` imports although they stand above it (or, for a leaf, at all)."""
    own = LAYERS.index(layer_of(f"{folder.replace('/', '.')}.x"))
    ours = [name for name in imports(source, folder) if name.startswith("cookbook_utils.")]
    return [name for name in ours if own == 0 or LAYERS.index(layer_of(name)) > own]


def field_libraries(source: str) -> set[str]:
    """Third-party packages beyond NumPy and Pillow that a source imports."""
    tops = {name.split(".")[0] for name in imports(source)}
    return tops - set(sys.stdlib_module_names) - {"numpy", "PIL", "cookbook_utils"}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_only_go_down(path):
    assert not imports_upwards(path.read_text(), relative(path.parent))


@pytest.mark.parametrize("path", LEAVES, ids=relative)
def test_a_leaf_needs_at_most_one_field_library(path):
    assert len(field_libraries(path.read_text())) <= 1


@pytest.mark.parametrize(("source", "folder", "upwards", "reason"), [
    ("import numpy, json", "cookbook_utils", [], "allowed everywhere"),
    ("from . import parsing", "cookbook_utils", ["cookbook_utils.parsing"], "a leaf imports nothing of ours"),
    ("def f():\n    from .parsing import x", "cookbook_utils", ["cookbook_utils.parsing"], "not even late"),
    ("from ..parsing import x", "cookbook_utils/models", [], "down"),
    ("from .messages import x", "cookbook_utils/models", [], "beside"),
    ("from ..agents.loop import x", "cookbook_utils/models", ["cookbook_utils.agents.loop"], "up"),
    ("from .. import tiny", "cookbook_utils/agents", ["cookbook_utils.tiny"], "up, by the package"),
    ("import cookbook_utils.tiny.world", "cookbook_utils/models", ["cookbook_utils.tiny.world"], "up, absolute"),
    ("from ..agents import browser", "cookbook_utils/tiny", [], "tiny renders its screens with the agents' browser"),
])
def test_an_import_that_goes_up_is_found(source, folder, upwards, reason):
    assert imports_upwards(source, folder) == upwards, reason


def test_importing_the_package_loads_nothing_heavy():
    code = f"import cookbook_utils, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(("module", "name"), [(m, name) for m, names in cookbook_utils._NAMES_OF.items() for name in names])
def test_a_name_offered_by_the_package_is_its_modules_own(module, name):
    if not (PACKAGE / f"{module}.py").exists() and not (PACKAGE / module / "__init__.py").exists():
        pytest.skip(f"{module} is not there yet")
    own = getattr(importlib.import_module(f"cookbook_utils.{module}"), name)
    assert getattr(cookbook_utils, name) is own


def test_an_unknown_name_is_an_attribute_error_that_says_what_there_is():
    with pytest.raises(AttributeError, match="parse_boxes"):
        cookbook_utils.no_such_name


# --- requirements ---------------------------------------------------------------------------------------------------


def requirements() -> dict[str, str]:
    """Each requirement's name and its version bounds."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    return {re.match(r"[\w.-]+", line)[0]: line for line in lines if line and not line.startswith("-")}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("line", requirements().values())
def test_a_requirement_has_both_bounds(line):
    assert re.fullmatch(r"[\w.-]+>=\d[\d.]*,<\d+", line)


def test_the_package_and_the_requirements_agree():
    text = (ROOT / "pyproject.toml").read_text()
    own = re.findall(r'"([^"]+)"', re.search(r"^dependencies = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)[1])
    assert own and set(own) <= set(requirements().values())


def test_everything_imported_is_required():
    known = {normal(name) for name in requirements()}
    local = {name for path in PYTHON_FILES for name in (path.stem, path.parent.name)} | {"conftest"}
    used = {name for path in PYTHON_FILES for name in field_libraries(path.read_text())} - local
    used -= {"vllm"}  # in an environment of its own, see models/vllm_server.py
    providers = packages_distributions()
    assert not {name for name in used if not known & {normal(provider) for provider in providers.get(name, [name])}}


# --- README and CI --------------------------------------------------------------------------------------------------


def command(which: str) -> str:
    """The fenced block under `<!-- command: which -->` in the README."""
    readme = (ROOT / "README.md").read_text()
    return re.search(rf"<!-- command: {which} -->\n```bash\n(.*?)```", readme, re.DOTALL)[1]


def test_the_main_command_ends_in_a_page_to_look_at():
    assert all(words in command("main") for words in ("requirements.txt", "cookbook_utils.doctor --install", "nbconvert"))


def test_the_test_command_runs_every_test():
    assert re.search(r"^python -m pytest -n 2$", command("test"), re.MULTILINE)


def test_ci_runs_the_readmes_test_command():
    shown = subprocess.run([ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, check=True).stdout
    assert shown == command("test")


def test_what_the_readme_links_to_exists():
    targets = re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", (ROOT / "README.md").read_text())
    assert not [path for pair in targets for path in pair if path and not (ROOT / path).exists()]


def test_every_module_is_in_the_readmes_tree():
    entries = {f"{p.name}/" if p.is_dir() else p.name for p in PACKAGE.glob("[!_]*") if p.is_dir() or p.suffix == ".py"}
    tree = re.findall(r"(?m)^  (\S+) ", (ROOT / "README.md").read_text())
    assert entries <= set(tree)


def test_every_notebook_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert not [path.name for path in ROOT.glob("cookbooks/*.ipynb") if f"(cookbooks/{path.name})" not in readme]


# --- every file -----------------------------------------------------------------------------------------------------


# Written in two halves, so that this file does not contain them.
FORBIDDEN = {
    "a registry's address": r"(?i)pypi\." r"org|python" r"hosted\.org|download\.py" r"torch\.org|--(?:extra-)?index" r"-url",
    "a path of one machine": r"(?<![\w.~/-])/(?:ro" r"ot|wo" r"rk)/",
}
TEXT_FILES = [".py", ".md", ".txt", ".toml", ".ipynb", ".yml", ".yaml", ".sh", ".cfg", ".html"]


def texts() -> list[Path]:
    """The project's own text files: nothing built, nothing hidden but the CI's."""
    folders = [ROOT / name for name in ("cookbook_utils", "tests", "cookbooks", "assets", ".ci")]
    files = [path for path in ROOT.iterdir() if path.is_file()] + [path for folder in folders for path in folder.rglob("*")]
    return sorted(path for path in files if path.suffix in TEXT_FILES or path.name in ("run", ".gitignore"))


@pytest.mark.parametrize("path", texts(), ids=relative)
def test_no_file_names_a_registry_or_a_machine(path):
    text = path.read_text(errors="replace")
    assert not [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]


@pytest.mark.parametrize(("text", "what"), [
    ("pip install --index" "-url x", "a registry's address"),
    ("https://py" "pi.org/simple", "a registry's address"),
    ("open('/ro" "ot/model')", "a path of one machine"),
    ("see /wo" "rk/main", "a path of one machine"),
])
def test_a_forbidden_word_is_found(text, what):
    assert re.search(FORBIDDEN[what], text)


@pytest.mark.parametrize("path", PYTHON_FILES, ids=relative)
def test_a_file_is_one_concept(path):
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES
