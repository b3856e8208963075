"""Success tables: how often a model reaches its goals, task by task, on seeds that no training sees.

    python -m cookbook_utils.agents.benchmark --model oracle --env phone --seeds 10
    python -m cookbook_utils.agents.benchmark --model tiny --env miniwob --seeds 10 --tasks click-test,enter-text
    python -m cookbook_utils.agents.benchmark --model tiny --env phone --seeds 10 --out runs    # keep every record

`--model`: a spec of `load_model`, `random` or `oracle`. Seeds start at `HELD_OUT`; training draws its own below it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .baselines import Oracle, RandomModel
from .loop import run
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
    max_steps: int


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

    return _Arena(phone, tuple(GOALS), start, max_steps=12)


def miniwob_arena(**options) -> _Arena:
    """The MiniWoB++ tasks."""
    from .miniwob import TASKS, MiniWob

    page = MiniWob(**options)

    def start(task, seed):
        page.reset(seed, task)
        return page.goal, page.next_call, lambda record: page.success

    return _Arena(page, tuple(TASKS), start, max_steps=12)


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


def table(done: Iterable[Episode], name: str = "success") -> str:
    """Success rate and mean steps per task as a Markdown table, with the mean over tasks last.

    >>> print(table([Episode("press", 1, True, Record("")), Episode("press", 2, False, Record(""))], "random"))
    | task | random | steps |
    |---|---|---|
    | press | 50 % | 0.0 |
    | mean | 50 % | 0.0 |
    """
    by_task: dict[str, list[Episode]] = {}
    for episode in done:
        by_task.setdefault(episode.task, []).append(episode)
    rates = {task: sum(e.success for e in group) / len(group) for task, group in by_task.items()}
    steps = {task: sum(len(e.record.steps) for e in group) / len(group) for task, group in by_task.items()}
    lines = [f"| {task} | {rates[task]:.0%} | {steps[task]:.1f} |".replace("%", " %") for task in by_task]
    mean = [sum(values.values()) / max(1, len(values)) for values in (rates, steps)]
    return "\n".join(
        [f"| task | {name} | steps |", "|---|---|---|", *lines, f"| mean | {mean[0]:.0%} | {mean[1]:.1f} |".replace("%", " %")]
    )


def main(arguments: list[str] | None = None) -> int:
    """Prints the table of one model on one environment; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.agents.benchmark", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tiny", help="a spec of load_model, random or oracle")
    parser.add_argument("--env", choices=sorted(ARENAS), required=True)
    parser.add_argument("--seeds", type=int, default=10, help="how many unseen seeds of each task")
    parser.add_argument("--tasks", default="", help="names with commas between them; all by default")
    parser.add_argument("--out", type=Path, help="folder that gets the record of every episode")
    options = parser.parse_args(arguments)
    model, began, done = options.model, time.monotonic(), []
    if model not in ("random", "oracle"):
        from ..models import load_model

        model = load_model(model)
    names = filter(None, options.tasks.split(","))
    for episode in episodes(model, options.env, tasks=names, seeds=range(HELD_OUT, HELD_OUT + options.seeds)):
        done.append(episode)
        if options.out:
            episode.record.save(options.out / f"{episode.task}_{episode.seed}_{'success' if episode.success else 'failure'}")
        print(f"\r{len(done)} episodes, {sum(e.success for e in done)} successes", end="", file=sys.stderr, flush=True)
    print(f"\n{table(done, options.model)}\n\n{options.env}, {len(done)} episodes, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
