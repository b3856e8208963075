"""Every notebook two ways, in this process and on a real vLLM server, and their figures side by side.

    python tests/parity.py                     # prints the table
    python tests/parity.py docs/parity.md      # and keeps it
    python tests/parity.py --only ocr          # of some notebooks

A notebook's figures are the numbers that its section "How good is it?" prints, line by line. The lines of both runs are
laid side by side by their order; a line with other words than its neighbour is shown whole.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient
from notebook_rules import HOW_GOOD, section

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINTS = {  # a server has one; these notebooks need another than the pictures'
    "3d_grounding": "tiny_rooms", "spatial_understanding": "tiny_rooms", "video_understanding": "tiny_clips",
    "think_with_images": "tiny_pages", "ocr": "tiny_pages", "document_parsing": "tiny_pages", "mmcode": "tiny_pages",
    "long_document_understanding": "tiny_documents", "computer_use": "tiny_screens", "mobile_agent": "tiny_screens",
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?![\w.]*\w)%?")
HEAD = """# The same notebooks, in one process and on a server

The embedded model answers every notebook twice: loaded by transformers in the notebook's own process, and behind a vLLM
{version} server on the CPU. Each row is a line that the notebook's section "How good is it?" prints. Both compute in
float32 and choose the likeliest token, so figures differ only where two tokens are nearly as likely. Written by
`python tests/parity.py docs/parity.md`.
"""


def checkpoint_of(path: Path) -> Path:
    """The folder of the checkpoint that a server of a notebook needs; in one process the model chooses by itself."""
    return ROOT / "assets" / CHECKPOINTS.get(path.stem, "tiny")


def run(path: Path, spec: str, timeout_s: int = 1800) -> tuple[nbformat.NotebookNode, float]:
    """The notebook after a run with COOKBOOK_MODEL set to a spec, and the seconds that it took; the file stays as it is."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=timeout_s, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}})
    began = time.perf_counter()
    with patch.dict(os.environ, {"COOKBOOK_MODEL": spec}):
        client.execute()
    return notebook, time.perf_counter() - began


def figures(notebook: nbformat.NotebookNode) -> list[str]:
    """The lines with numbers that the section about quality prints."""
    outputs = [output for cell in section(notebook, HOW_GOOD) for output in cell.get("outputs", [])]
    lines = [line.strip() for output in outputs if output.output_type == "stream" for line in output.text.splitlines()]
    return [line for line in lines if NUMBER.search(line)]


def rows(name: str, here: list[str], there: list[str]) -> list[str]:
    """Rows of the table: a line's words with `#` for each number, and the numbers both ways.

    >>> rows("ocr", ["error rate 0.02"], ["error rate 0.03"])
    ['| ocr | error rate # | 0.02 | 0.03 |']
    """
    table = []
    for at in range(max(len(here), len(there))):
        left, right = (lines[at] if at < len(lines) else "(no such line)" for lines in (here, there))
        words = NUMBER.sub("#", left)
        if words == NUMBER.sub("#", right):
            cells = (words, *(", ".join(NUMBER.findall(line)) for line in (left, right)))
        else:
            cells = ("(other words)", left, right)
        table.append(f"| {name} | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return table


def compare(paths: list[Path], spec: str) -> list[str]:
    """The table, without its head, and a last row with the seconds of each run for each notebook."""
    table = []
    for path in paths:
        (here, here_s), (there, there_s) = run(path, "tiny"), run(path, spec)
        table += rows(path.stem, figures(here), figures(there))
        table.append(f"| {path.stem} | time, as a multiple of the first | 1 | {there_s / here_s:.1f} |")
        print("\n".join(table[-3:]), file=sys.stderr)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run all notebooks both ways, print the table, and keep it where a file is named."""
    sys.path.insert(0, str(ROOT))
    from cookbook_utils.models import vllm_server
    from cookbook_utils.models.loopback import start_server

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="where to keep the table")
    parser.add_argument("--only", nargs="*", default=[], help="names of notebooks")
    parser.add_argument("--server", help="a vLLM server that runs already, with the checkpoint of all notebooks; default: its own")
    chosen = parser.parse_args(arguments)
    paths = [path for path in sorted(ROOT.glob("cookbooks/*.ipynb")) if not chosen.only or path.stem in chosen.only]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    if chosen.server:
        table = compare(paths, f"vllm:{chosen.server}")
    else:
        table = []
        for checkpoint in sorted({checkpoint_of(path) for path in paths}):
            with start_server("vllm", checkpoint) as server:
                table += compare([path for path in paths if checkpoint_of(path) == checkpoint], server.spec)
    head = ["| notebook | figure | in the notebook's process | vLLM |", "|---|---|---|---|"]
    text = "\n".join([HEAD.format(version=vllm_server.VERSION), *head, *table]) + "\n"
    print(text)
    if chosen.file:
        chosen.file.parent.mkdir(parents=True, exist_ok=True)
        chosen.file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
