"""Success tables: how often a model reaches its goals, task by task, on seeds that no training sees.

    python -m cookbook_utils.agents.benchmark --env miniwob --model tiny random oracle --seeds 10
    python -m cookbook_utils.agents.benchmark --env miniwob --model tiny --tasks click-test,enter-text
    python -m cookbook_utils.agents.benchmark --env phone --model tiny --out runs    # keep every record

`--model`: a spec of `load_model`, `random` or `oracle`; several stand side by side. Seeds start at `HELD_OUT`; training draws its own
below it. Tasks that the embedded model no longer trains on, and those that it never did, stand below the others, each group
with a mean of its own.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from .baselines import Oracle, RandomModel
from .loop import run
from .miniwob import DROPPED, UNTRAINED
from .record import Record

__all__ = ["HELD_OUT", "Episode", "episodes", "table"]

HELD_OUT = 1_000_000


@dataclass
class Episode:
    """One attempt at one task: the record of it and whether it succeeded."""

    task: str
    seed: int
    success: bool
    record: Record


@dataclass
class _Arena:
    """What the benchmark needs of an environment.

    start: prepares a task and a seed and returns the goal's text, the policy that knows, and the judge of a record.
    """

    environment: object
    tasks: tuple[str, ...]
    start: Callable[[str, int], tuple[str, Callable[[], str], Callable[[Record], bool]]]
    max_steps: int = 12


def phone_arena(**options) -> _Arena:
    """The phone and its goals."""
    from .phone import Phone
    from .phone_goals import GOALS, make_goal
    from .phone_policy import next_call

    phone = Phone(**options)

    def start(task, seed):
        phone.reset(seed)
        goal = make_goal(task, seed, phone.state())
        return goal.text, lambda: next_call(phone, goal), lambda record: goal.reached(phone.state(), record)

    return _Arena(phone, tuple(GOALS), start)


def miniwob_arena(**options) -> _Arena:
    """The MiniWoB++ tasks."""
    from .miniwob import TASKS, MiniWob

    page = MiniWob(**options)

    def start(task, seed):
        page.reset(seed, task)
        return page.goal, page.next_call, lambda record: page.success

    return _Arena(page, tuple(TASKS), start)


ARENAS = {"miniwob": miniwob_arena, "phone": phone_arena}


def episodes(
    model, env: str, *, tasks: Iterable[str] = (), seeds: Iterable[int] = range(HELD_OUT, HELD_OUT + 10), **options
) -> Iterator[Episode]:
    """Let a model try every task with every seed, and yield what became of each.

    model: `"random"`, `"oracle"`, or anything with `chat`; env: `miniwob` or `phone`; tasks: some of its tasks, by default
    all; options: of the environment. Consent to what is risky is given: the pages are made up.
    Raises ValueError for another env or task.
    """
    if env not in ARENAS:
        raise ValueError(f"env: expected one of {', '.join(ARENAS)}, got {env!r}")
    arena = ARENAS[env](**options)
    with arena.environment as environment:
        chosen = tuple(tasks) or arena.tasks
        if unknown := set(chosen) - set(arena.tasks):
            raise ValueError(f"tasks: no {', '.join(sorted(unknown))} in {env}; there is {', '.join(arena.tasks)}")
        for task in chosen:
            for seed in seeds:
                goal, policy, judge = arena.start(task, seed)
                actor = (
                    {"random": RandomModel(f"{task} {seed}"), "oracle": Oracle(policy)}.get(model, model)
                    if isinstance(model, str)
                    else model
                )
                record = run(actor, environment, goal, max_steps=arena.max_steps, confirm=lambda risk: True)
                yield Episode(task, seed, judge(record), record)


def table(done: Mapping[str, Iterable[Episode]], untrained: Iterable[str] = (), dropped: Iterable[str] = ()) -> str:
    """Success rate and mean steps per task as a Markdown table, models side by side, with the mean over tasks last.

    done: each model's name and its episodes; untrained, dropped: tasks that the embedded model never trained on, and those that
    it no longer trains on; they stand below the others, each group with a mean of its own.

    >>> print(table({"random": [Episode("press", 1, True, Record("")), Episode("press", 2, False, Record(""))]}))
    | task | random | random: steps |
    |---|---|---|
    | press | 50 % | 0.0 |
    | mean | 50 % | 0.0 |
    """
    done = {name: list(group) for name, group in done.items()}
    rates = [_by_task(group, lambda episode: episode.success) for group in done.values()]
    steps = [_by_task(group, lambda episode: len(episode.record.steps)) for group in done.values()]
    tasks = dict.fromkeys(task for rate in rates for task in rate)
    apart = {"mean, no longer trained on": set(dropped), "mean, not trained on": set(untrained)}
    groups = {"mean": set(tasks).difference(*apart.values()), **apart}
    lines = [_line("task", *done, *(f"{name}: steps" for name in done)), "|---" * (1 + 2 * len(done)) + "|"]
    for title, names in groups.items():
        group = [task for task in tasks if task in names]
        for name, of in [*((task, [task]) for task in group), *([(title, group)] if group else [])]:
            shares = [f"{100 * _mean(rate, of):.0f} %" for rate in rates]
            lines.append(_line(name, *shares, *(f"{_mean(step, of):.1f}" for step in steps)))
    return "\n".join(lines)


def _by_task(done: Iterable[Episode], value: Callable[[Episode], float]) -> dict[str, float]:
    """The mean of a value over the episodes of each task."""
    values: dict[str, list[float]] = {}
    for episode in done:
        values.setdefault(episode.task, []).append(value(episode))
    return {task: fmean(group) for task, group in values.items()}


def _mean(values: Mapping[str, float], tasks: Iterable[str]) -> float:
    """The mean over those of the tasks that have a value, NaN where none has."""
    found = [values[task] for task in tasks if task in values]
    return fmean(found) if found else math.nan


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Prints the table of models on one environment; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.agents.benchmark", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", nargs="+", default=["tiny"], help="specs of load_model, random, oracle; side by side")
    parser.add_argument("--env", choices=sorted(ARENAS), required=True)
    parser.add_argument("--seeds", type=int, default=10, help="how many unseen seeds of each task")
    parser.add_argument("--tasks", default="", help="names with commas between them; all by default")
    parser.add_argument("--out", type=Path, help="folder that gets the record of every episode, in a folder per model")
    options = parser.parse_args(arguments)
    began, done = time.monotonic(), {}
    for name in options.model:
        done[name] = []
        for episode in _episodes_of(name, options):
            done[name].append(episode)
            successes = sum(e.success for e in done[name])
            print(f"\r{name}: {len(done[name])} episodes, {successes} successes", end="", file=sys.stderr, flush=True)
            if options.out:
                end = "success" if episode.success else "failure"
                episode.record.save(options.out / re.sub(r"[^\w.-]+", "_", name) / f"{episode.task}_{episode.seed}_{end}")
        print(file=sys.stderr)
    count = sum(map(len, done.values()))
    print(f"{table(done, UNTRAINED, DROPPED)}\n\n{options.env}, {count} episodes, {time.monotonic() - began:.0f} s")
    return 0


def _episodes_of(name: str, options) -> Iterator[Episode]:
    """The episodes that the command's options ask for, of the model with this name."""
    model = name
    if name not in ("random", "oracle"):
        from ..models import load_model

        model = load_model(name)
    tasks = filter(None, options.tasks.split(","))
    yield from episodes(model, options.env, tasks=tasks, seeds=range(HELD_OUT, HELD_OUT + options.seeds))


if __name__ == "__main__":
    sys.exit(main())
