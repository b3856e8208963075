"""Records episodes: an agent that knows walks through the phone and the MiniWoB++ pages, errs now and then, and every screen is kept.

An episode runs in `agents.loop.run` itself, so what a model would have been asked at each step is what the loop asks. Beside
the screen the record holds, per step: the right call (`call`), what was done instead where the walk erred (`reply`), what
came of it, the page's elements and characters (`screen_elements.js`), and `others`: further goals with their right calls
on this very screen. A wrong step is never one that changes what the phone holds, and where a MiniWoB++ task was lost
by one, what follows it is not kept. Episodes in which nothing went wrong and the goal was still missed are not kept at all.

Needs playwright and Chromium, as the environments do.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..agents.baselines import reply_of
from ..agents.benchmark import HELD_OUT
from ..agents.browser import Browser
from ..agents.chromium import Chromium
from ..agents.loop import run
from ..agents.miniwob import TRAINED, MiniWob
from ..agents.phone import Phone
from ..agents.phone_goals import GOALS, make_goal
from ..agents.phone_policy import Goal, next_call
from ..agents.schemas import ToolError, write_call
from ..parsing import parse_tool_calls
from .screen_shards import UNSEEN, write_shard

__all__ = ["ENVIRONMENTS", "episode_of", "record", "recorded"]

EPISODES = 40  # in a shard
IN_A_ROW = 5  # episodes of the same task, since loading another page takes a quarter of the time
WRONG = 0.12  # share of steps that go wrong
FIRST_UNSEEN = HELD_OUT + 100_000  # the benchmark's own seeds come before
LONGEST = 14  # steps
OTHERS = 4  # further goals for one screen, at most
_ELEMENTS = Path(__file__).with_name("screen_elements.js")

# MiniWoB++ tasks in which a goal of another seed can be asked on the same page.
SHARED_GOALS = (
    "click-color", "click-shape", "click-tab", "click-widget", "count-shape", "drag-circle", "enter-date", "enter-password",
    "enter-text", "enter-text-2", "enter-text-dynamic", "enter-time", "find-word", "focus-text-2", "grid-coordinate",
    "login-user", "read-table", "search-engine", "use-autocomplete-nodelay", "use-spinner",
)  # fmt: skip


@dataclass
class Stage:
    """An environment with one task at a time.

    begin: prepares a task and a seed, and returns the goal's text and the policy; reached: judges a run; others: further
    goals `[{"goal", "call"}]` for the screen, `OTHERS` at most; blunder: a wrong call for the screen with these elements.
    """

    environment: object
    tasks: tuple[str, ...]
    begin: Callable[[str, int], tuple[str, Callable[[], str]]]
    reached: Callable[[object], bool]
    others: Callable[[random.Random], list[dict]]
    blunder: Callable[[random.Random, list[dict]], dict]
    holds: Callable[[], object] = lambda: None  # what a wrong step must not change

    def close(self) -> None:
        self.environment.close()


class Glance:
    """The phone as it is at one moment, looked at once for any number of policies."""

    place = Phone.place

    def __init__(self, phone: Phone):
        self._viewport = phone._viewport
        self._state, self._places = phone.evaluate(
            "[phone.state(), Object.fromEntries(phone.names().map(name => [name, phone.locate(name)]))]"
        )

    def state(self) -> dict:
        return self._state

    def evaluate(self, _: str, name: str) -> dict | None:
        """What `phone.locate` said of a name."""
        return self._places.get(name)


def possible(kind: str, seed: int, state: dict) -> Goal | None:
    """A goal of a kind for the phone as it is; None where it holds nothing of what the goal would speak of."""
    try:
        return make_goal(kind, seed, state)
    except (StopIteration, IndexError):  # the last list was deleted, or the last conversation
        return None


def goals_of(seen: Glance, rng: random.Random, tries: int, most: int) -> tuple[list[dict], list[dict]]:
    """Goals `{"goal", "call"}` for the phone as it is, in any order: those that go on from here, and those that first go home or back.

    tries: seeds of each kind; most: goals kept of each kind, no two of which want the same call.
    """
    ahead, away = [], []
    for kind in rng.sample(sorted(GOALS), len(GOALS)):
        goals = [goal for goal in (possible(kind, rng.randrange(HELD_OUT), seen.state()) for _ in range(tries)) if goal]
        made = [{"goal": text, "call": call} for call, text in {next_call(seen, goal): goal.text for goal in goals}.items()]
        on = [one for one in made if '"system_button"' not in one["call"]]
        ahead.extend(on[:most])
        away.extend([] if on else made[:1])
    rng.shuffle(ahead)
    return ahead, away


def phone_stage(chromium: Chromium) -> Stage:
    """The phone; its further goals are made from what it holds now."""
    phone, now = Phone(chromium=chromium), {}

    def begin(task, seed):
        phone.reset(seed)
        now["goal"] = make_goal(task, seed, phone.state())
        return now["goal"].text, lambda: next_call(Glance(phone), now["goal"])

    def others(rng):
        ahead, away = goals_of(Glance(phone), rng, tries=2, most=2)
        return [*ahead[: OTHERS - 1], *away[:1]]

    def blunder(rng, elements):
        spots = [e["box"] for e in elements if e["kind"] in ("icon", "row", "card", "tab", "field") and e["name"]]
        kind = rng.choices(("click", "system_button", "swipe", "type"), (5, 2, 2, 1))[0]
        return {"action": kind} | {
            "click": lambda: {"coordinate": within(rng, rng.choice(spots), phone.size) if spots else anywhere(rng)},
            "system_button": lambda: {"button": rng.choice(("Back", "Home"))},
            "swipe": lambda: dict(zip(("coordinate", "coordinate2"), rng.sample([[500, 780], [500, 280]], 2), strict=True)),
            "type": lambda: {"text": rng.choice(("hello", "ok", "12"))},
        }[kind]()

    return Stage(phone, tuple(GOALS), begin, lambda record: now["goal"].reached(phone.state(), record), others, blunder,
                 lambda: phone.state()["data"])  # fmt: skip


def miniwob_stage(chromium: Chromium) -> Stage:
    """The MiniWoB++ pages; their further goals are those of other seeds, where the page answers to them."""
    page, pool = MiniWob(chromium=chromium), {}

    def begin(task, seed):
        page.reset(seed, task)
        pool.setdefault(task, []).append(page.goal)
        return page.goal, page.next_call

    def others(rng):
        known = sorted({*pool[page.task][-200:]} - {page.goal}) if page.task in SHARED_GOALS else []
        made, own = [], page.goal
        for goal in rng.sample(known, min(OTHERS, len(known))):
            page.goal = goal
            try:
                made.append({"goal": goal, "call": page.next_call()})
            except ToolError:
                pass  # the page has nothing of what this goal speaks of
        page.goal = own
        return [one for one in made if '"wait"' not in one["call"] and ": null" not in one["call"]]  # what the policy does not find

    def blunder(rng, elements):
        fields = [e["box"] for e in elements if e["kind"] == "field"]
        kind = rng.choices(("left_click", "mouse_move", "scroll", "type"), (5, 2, 1, 2 * bool(fields)))[0]
        return {"action": kind} | {
            "left_click": lambda: {"coordinate": within(rng, rng.choice(fields), page.size) if fields else anywhere(rng)},
            "mouse_move": lambda: {"coordinate": anywhere(rng)},
            "scroll": lambda: {"coordinate": anywhere(rng), "pixels": rng.choice((-160, 160))},
            "type": lambda: {"text": rng.choice(("a", "test", "7", "Kim"))},
        }[kind]()

    return Stage(page, TRAINED, begin, lambda record: page.success, others, blunder)


ENVIRONMENTS = {"phone": phone_stage, "miniwob": miniwob_stage}


def anywhere(rng: random.Random) -> list[int]:
    """A point of the 0-1000 grid, away from the edges."""
    return [rng.randint(40, 960), rng.randint(40, 960)]


def within(rng: random.Random, box: list[float], size: tuple[int, int], share: float = 0.5) -> list[int]:
    """A point of the grid in the middle `share` of a box in pixels of a screen."""
    sides = ((box[0], box[2], size[0]), (box[1], box[3], size[1]))
    return [round(1000 * (a + (b - a) * (0.5 + share * (rng.random() - 0.5))) / side) for a, b, side in sides]


def smallest_at(elements: list[dict], point: list[float]) -> dict | None:
    """The smallest element whose box holds a point in pixels."""
    area = lambda e: (e["box"][2] - e["box"][0]) * (e["box"][3] - e["box"][1])  # noqa: E731
    x, y = point
    return min((e for e in elements if e["box"][0] <= x <= e["box"][2] and e["box"][1] <= y <= e["box"][3]), key=area, default=None)


def seen_on(environment: Browser) -> dict:
    """The `elements` and `lines` of the screen that an environment shows, as `screen_elements.js` says."""
    return environment.evaluate(_ELEMENTS.read_text(encoding="utf-8"), [list(environment._clip), environment.scale])


# --- one episode -----------------------------------------------------------------------------


@dataclass
class Witness:
    """The model that the loop asks: it knows the right call, keeps what there is to see, and errs now and then."""

    stage: Stage
    policy: Callable[[], str]
    rng: random.Random
    wrong: float
    rows: list[dict] = field(default_factory=list)
    screens: list[Image.Image] = field(default_factory=list)
    before: object = None  # what the environment held before a wrong step
    spoiled: bool = False

    def chat(self, messages, **_):
        environment = self.stage.environment
        if self.before is not None and self.stage.holds() != self.before:
            self.spoiled = True
            return reply_of("")
        self.before = None
        seen = seen_on(environment)
        right = self.policy()
        erred = bool(seen["elements"]) and self.rng.random() < self.wrong and "terminate" not in right
        others = self.stage.others(self.rng)
        reply = self.blunder(seen["elements"]) if erred else self.nudged(right, seen["elements"])
        self.rows.append({"call": right, "reply": reply, "erred": erred, "others": others, **seen})
        self.screens.append(messages[-1]["content"][0]["image"])
        return reply_of(reply)

    def blunder(self, elements: list[dict]) -> str:
        self.before = self.stage.holds()
        return write_call(self.stage.environment.tool, self.stage.blunder(self.rng, elements))

    def nudged(self, right: str, elements: list[dict]) -> str:
        """A tap somewhere in the middle of what it is meant for: a model does not hit centres either."""
        call = parse_tool_calls(right)[0]
        if call["arguments"]["action"] != "click" or self.rng.random() < 0.5:
            return right
        size = self.stage.environment.size
        point = [at * side / 1000 for at, side in zip(call["arguments"]["coordinate"], size, strict=True)]
        meant = smallest_at(elements, point)
        return write_call(call["name"], {"action": "click", "coordinate": within(self.rng, meant["box"], size, 0.4)}) if meant else right


def episode_of(stage: Stage, task: str, seed: int, *, wrong: float = WRONG) -> tuple[dict, list[Image.Image]] | None:
    """Record one episode: `(record, screens)`, or None where it is of no use.

    wrong: share of steps that go wrong. The record has `task`, `seed`, `goal`, `tool` and `steps`, each of these as the
    module's head says, with `observation` and `error` as the loop keeps them.
    """
    goal, policy = stage.begin(task, seed)
    witness = Witness(stage, policy, random.Random(f"{task} {seed}"), wrong)
    done = run(witness, stage.environment, goal, max_steps=LONGEST, confirm=lambda risk: True)
    first_wrong = next((index for index, row in enumerate(witness.rows) if row["erred"]), None)
    kept = len(witness.rows)
    if witness.spoiled or not stage.reached(done):
        if first_wrong is None:
            return None
        kept = first_wrong + 1
    for row, step in zip(witness.rows, done.steps, strict=False):
        row |= {"observation": step.observation, "error": step.error}
    record = {"task": task, "seed": seed, "goal": goal, "tool": stage.environment.tool, "steps": witness.rows[:kept]}
    return record, witness.screens[:kept]


# --- many episodes ---------------------------------------------------------------------------


def record(folder: Path, shards: list[tuple[str, int]], *, unseen: bool = False) -> Iterator[tuple[Path, int]]:
    """Record shards `(environment, number)` into a folder one after the other, and yield each file with its steps.

    Shard n of an environment holds its episodes 40 n to 40 n + 39: five seeds of a task, five of the next one, and so on
    over all tasks, then the next five seeds. unseen: with seeds that neither training nor benchmark draws, into the sub-folder for those.
    """
    first_seed = FIRST_UNSEEN if unseen else 0

    def made(stage: Stage, number: int):
        return episodes(stage, range(number * EPISODES, (number + 1) * EPISODES), first_seed)

    yield from recorded(folder, shards, ENVIRONMENTS, made, unseen)


def recorded(folder: Path, shards: list[tuple[str, int]], starts: dict[str, Callable], made: Callable, unseen: bool = False) -> Iterator[tuple[Path, int]]:
    """Write shards `(name, number)` with one browser for all, none where there are no shards, and yield each file with its steps.

    starts: by name, what makes from the browser that which is recorded, and has `close`; made: of it and a shard's number, the
    shard's episodes `(name, record, screens)`.
    """
    if not shards:
        return
    with Chromium() as chromium:
        opened: dict[str, object] = {}
        for name, number in shards:
            if name not in opened:
                opened[name] = starts[name](chromium)
            path = shard_path(folder, name, number, unseen)
            yield path, write_shard(path, made(opened[name], number))
        for one in opened.values():
            one.close()


def shard_path(folder: Path, environment: str, number: int, unseen: bool = False) -> Path:
    """Where a shard lies."""
    return (folder / UNSEEN if unseen else folder) / f"{environment}_{number:05d}.tar"


def episodes(stage: Stage, numbers: range, first_seed: int) -> Iterator[tuple[str, dict, list[Image.Image]]]:
    """Named episodes for a shard; those of no use are left out, and those in which the page itself fails, with a warning."""
    for number in numbers:
        (turn, task), again = divmod(number // IN_A_ROW, len(stage.tasks)), number % IN_A_ROW
        task, seed = stage.tasks[task], first_seed + turn * IN_A_ROW + again
        try:
            made = episode_of(stage, task, seed)
        except ToolError as error:
            logging.getLogger(__name__).warning("%s with seed %d is left out: %s", task, seed, error)
            stage.environment.open("about:blank")  # the next episode loads its page anew
            continue
        if made:
            yield f"{task}_{seed}", *made
