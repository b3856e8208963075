"""The command that records screens: which shards are still to do, and who does them.

    python -m cookbook_utils.tiny.screens FOLDER --episodes 800 --workers 2
    python -m cookbook_utils.tiny.screens FOLDER --episodes 120 --unseen       # for the held-out figures
    python -m cookbook_utils.tiny.screens FOLDER --episodes 400 --only stills-phone

It may be stopped at any time: what was finished stays, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
import multiprocessing
from itertools import chain
from pathlib import Path

from . import screen_recorder, screen_stills
from .screen_recorder import ENVIRONMENTS, EPISODES, shard_path
from .screen_shards import library
from .screen_stills import STILLS


def main(arguments: list[str] | None = None) -> int:
    """Records what is missing, prints a line per shard and the number of steps at the end; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.tiny.screens", description="Record screens for the training.")
    parser.add_argument("folder", type=Path, help="where the shards lie; outside the repository")
    parser.add_argument("--episodes", type=int, default=800, help=f"of each environment, rounded up to shards of {EPISODES}; and as many shards of stills")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with a browser of its own")
    parser.add_argument("--only", choices=sorted(ENVIRONMENTS | STILLS), help="one of the environments or of the stills; by default all")
    parser.add_argument("--unseen", action="store_true", help="seeds for held-out figures, which no training draws")
    options = parser.parse_args(arguments)
    if options.unseen and options.only in STILLS:
        parser.error(f"--only: with --unseen expected one of {', '.join(sorted(ENVIRONMENTS))}, got {options.only}: stills are for the training alone")
    names = [options.only] if options.only else [*ENVIRONMENTS] if options.unseen else [*ENVIRONMENTS, *STILLS]
    shards = missing(options.folder, names, options.episodes, options.unseen)
    parts = [part for part in (shards[start :: options.workers] for start in range(options.workers)) if part]
    if len(parts) == 1:
        work(options.folder, parts[0], options.unseen)
    elif parts:
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=work, args=(options.folder, part, options.unseen)) for part in parts]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if failed := [process.exitcode for process in processes if process.exitcode]:
            raise RuntimeError(f"{len(failed)} of {len(processes)} workers ended with {failed}; the same command goes on")
    print(f"{options.folder}: {library(options.folder, unseen=options.unseen).steps()} steps")
    return 0


def missing(folder: Path, environments: list[str], episodes: int, unseen: bool) -> list[tuple[str, int]]:
    """Shards `(environment, number)` that are not there yet, the environments in turn."""
    numbers = range(-(-episodes // EPISODES))
    return [(name, n) for n in numbers for name in environments if not shard_path(folder, name, n, unseen).exists()]


def work(folder: Path, shards: list[tuple[str, int]], unseen: bool) -> None:
    """One worker's shards."""
    still = [shard for shard in shards if shard[0] in STILLS]
    walks = [shard for shard in shards if shard not in still]
    for path, steps in chain(screen_recorder.record(folder, walks, unseen=unseen), screen_stills.record(folder, still)):
        print(f"{path.name}: {steps} steps", flush=True)
