"""Held-out evaluation of the embedded model: one command, one table.

    python -m cookbook_utils.tiny.evaluate                                      # assets/tiny, on what it was trained on
    python -m cookbook_utils.tiny.evaluate --families solids clips --scenes 24  # a quick look at two of them
    python -m cookbook_utils.tiny.evaluate --model transformers:FOLDER --show OUT --json figures.json
    COOKBOOK_SCREENS=SHARDS python -m cookbook_utils.tiny.evaluate --families screens  # recorded beforehand: screens.py

Every figure comes from `generate` on pictures that the training never draws: their seeds begin with `HELD_OUT`, the
training's are drawn from the clock below it. The questions go through the same `model.chat_batch` and the same readers
that the notebooks use. Questions and figures of each family: `figures_*.py`; pictures of what went wrong: `failures.py`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from . import figures_clips, figures_documents, figures_pages, figures_pictures, figures_screens, figures_solids, figures_zoom
from .failures import save_failures
from .figures import Measure, Run

MEASURES: dict[str, Measure] = {
    "pictures": figures_pictures.MEASURE, "solids": figures_solids.MEASURE, "walks": figures_solids.WALKS,
    "clips": figures_clips.MEASURE, "pages": figures_pages.PAGES, "articles": figures_pages.ARTICLES,
    "documents": figures_documents.MEASURE, "zoom": figures_zoom.MEASURE, "screens": figures_screens.MEASURE,
}  # fmt: skip
# What anyone can ask; screens need recorded shards.
TRAINED = ("pictures", "solids", "walks", "zoom", "pages", "articles", "documents", "clips")


def ask_family(model, measure: Measure, count: int | None = None) -> Run:
    """Asks all questions of a family about `count` things of its world, by default as many as it is measured on."""
    run = measure.questions(measure.worlds if count is None else count)
    for cases in run.values():
        measure.put(model, cases)
    return run


def table(figures: dict[str, float], measure: Measure) -> str:
    """The figures as a Markdown table, with the target where there is one; what misses it is marked."""
    targets, rows = {target.name: target for target in measure.targets}, []
    for name, value in figures.items():
        target, wanted = targets.get(name), ""
        if target:
            missed = "" if target.reached(value) else " (missed)"
            wanted = f"{'≤' if target.most else '≥'} {target.value:.2f}{missed}"
        rows.append(f"| {name} | {value:.3f} | {wanted} |")
    return "\n".join(["| figure | measured | target |", "|---|---|---|", *rows])


def main() -> None:
    from ..models import load_model

    parser = argparse.ArgumentParser(description="Evaluate the embedded model on held-out samples of its world.")
    parser.add_argument("--model", default="tiny", help="a spec for load_model (default: tiny)")
    families = {"nargs": "+", "default": TRAINED, "choices": list(MEASURES), "metavar": "FAMILY"}
    parser.add_argument("--families", **families, help=f"of {', '.join(MEASURES)}; default: {', '.join(TRAINED)}")
    parser.add_argument("--scenes", type=int, help="pictures, clips, ... of each family (default: the family's own number)")
    parser.add_argument("--show", type=Path, help="folder for pictures of wrong replies, by family and task")
    parser.add_argument("--json", type=Path, help="file for the figures, by family")
    args = parser.parse_args()
    model, everything = load_model(args.model), {}
    for family in args.families:
        measure, began = MEASURES[family], time.time()
        run = ask_family(model, measure, args.scenes)
        everything[family] = measure.figures(run)
        counted = f"{args.scenes or measure.worlds} held out, {sum(map(len, run.values()))} questions, {time.time() - began:.0f} s"
        print(f"\n## {family}\n\n{table(everything[family], measure)}\n\n{counted}", flush=True)
        if args.show:
            save_failures(run, measure, args.show / family)
        if args.json:  # after each family, so that a long run that is stopped leaves what it has
            args.json.write_text(json.dumps(everything, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
