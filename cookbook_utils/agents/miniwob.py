"""MiniWoB++ as an environment: small web tasks, each with a goal in words and a reward of its own.

The pages come with the `miniwob` package and run in our browser, offline; its own driver (Selenium) is not used. A task's
page is 160 x 210 CSS pixels, an instruction of 50 over an area of 160; the goal is taken from the page, so the screen is the
area alone, 320 x 320 pixels at twice its size: 100 visual tokens. A seed decides the task's contents through the page's own
`Math.seedrandom`. Time is not part of the task here: its limit is raised, and the reward is the one without time penalty.

Needs the `miniwob` package (its pages), playwright and Chromium. Source: Farama Foundation, MiniWoB++ (MIT); Liu et al.,
"Reinforcement Learning on Web Interfaces using Workflow-Guided Exploration" (2018).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..coordinates import to_grid
from .browser import Browser
from .schemas import write_call

__all__ = ["DROPPED", "TASKS", "TRAINED", "UNTRAINED", "MiniWob"]

WHOLE, NEARLY = 0.99, 0.8
# Each task, and the raw reward that counts as success: all of it, or, where the page measures a distance, nearly all.
TASKS = dict.fromkeys((
    "click-test", "click-test-2", "click-button", "click-link", "click-dialog", "click-dialog-2", "click-tab", "click-tab-2",
    "click-checkboxes", "click-option", "click-widget", "click-collapsible", "click-collapsible-2", "click-color", "click-shape",
    "click-shades", "click-button-sequence", "focus-text", "focus-text-2", "enter-text", "enter-text-2", "enter-text-dynamic",
    "enter-password", "login-user", "enter-date", "enter-time", "grid-coordinate", "identify-shape", "count-shape",
    "simple-arithmetic", "simple-algebra", "visual-addition", "text-transform", "drag-box", "drag-circle", "drag-single-shape",
    "drag-items", "highlight-text", "use-slider", "use-spinner", "odd-or-even", "read-table", "find-word", "choose-list",
    "click-menu", "use-autocomplete-nodelay", "navigate-tree", "search-engine", "email-inbox-delete", "email-inbox-important",
    "unicode-test", "click-test-transfer", "click-checkboxes-transfer",
), WHOLE) | dict.fromkeys(("circle-center", "find-midpoint"), NEARLY)  # fmt: skip

# Tasks that the embedded model's training records nothing of, so that a table can show what becomes of such.
UNTRAINED = ("click-test-transfer", "click-checkboxes-transfer", "unicode-test", "email-inbox-important", "drag-single-shape")
# Tasks that its first runs recorded and later ones do not: too much for its size beside the others (sums, dates, sorting, searching).
DROPPED = (
    "click-collapsible-2", "click-shades", "click-tab-2", "enter-text-2", "enter-date", "simple-arithmetic", "simple-algebra",
    "visual-addition", "text-transform", "drag-items", "use-slider", "use-spinner", "odd-or-even", "read-table", "find-word", "click-menu",
    "use-autocomplete-nodelay", "search-engine", "find-midpoint",
)
TRAINED = tuple(task for task in TASKS if task not in UNTRAINED + DROPPED)

_HOST = "miniwob.test"
_INSTRUCTION, _SIDE = 50, 160  # CSS pixels: height of the instruction, sides of the area
_MAX_TIME_MS = 24 * 3600 * 1000
_POLICY = Path(__file__).with_name("miniwob_policy.js")

# The page's counters stand beside the task, and its cover hides the screen after the end: neither is part of the task.
_STYLE = """addEventListener('DOMContentLoaded', () => document.head.insertAdjacentHTML('beforeend', '<style>\
#click-canvas, #reward-display, #sync-task-cover { display: none !important } ::-webkit-scrollbar { width: 0; height: 0 }</style>'))"""
_BEGIN = """async ([seed, limit]) => {
  core.EPISODE_MAX_TIME = limit;
  if (window.jQuery) jQuery.fx.off = true;
  if (document.activeElement) document.activeElement.blur();
  core.endEpisode(0);
  Math.seedrandom(seed);
  core.startEpisodeReal();
  for (let i = 0; i < 100 && !WOB_TASK_READY; i++) await new Promise(done => setTimeout(done, 20));
  return core.getUtterance(); }"""
_AT_START = 20  # steps of the grid (3 pixels of the page) between the pointer and where a drag is to begin


def pages() -> Path:
    """The folder of the tasks' pages; raises ModuleNotFoundError that says what to install where the package is absent."""
    found = importlib.util.find_spec("miniwob")
    if found is None:
        raise ModuleNotFoundError("MiniWoB++ needs its pages: pip install miniwob")
    return Path(found.submodule_search_locations[0]) / "html"


class MiniWob(Browser):
    """One task at a time; `reset` begins an episode.

    task: any of the package's tasks; those in `TASKS` have a policy. scale: device scale factor; instruction: whether the
    screen shows the instruction too. Further options as in `Browser`. `goal` is the task in words.
    """

    def __init__(self, task: str = "click-test", seed: int = 0, *, scale: float = 2.0, instruction: bool = False, **options):
        top = 0 if instruction else _INSTRUCTION
        size = (_SIDE, _INSTRUCTION + _SIDE)
        self.task, self.goal, self._folder = "", "", pages()
        super().__init__(
            "about:blank", size=size, scale=scale, clip=(0, top, _SIDE, size[1] - top), folders={_HOST: self._folder},
            **{"settle_s": 0, "locale": "en-US", "timezone_id": "UTC", **options},
        )  # fmt: skip
        self.reset(seed, task)

    def reset(self, seed: int, task: str | None = None) -> None:
        """Begin an episode with a seed, of another task if one is named; raises ValueError for a task that there is not."""
        task = task or self.task
        if not (self._folder / "miniwob" / f"{task}.html").is_file():
            raise ValueError(f"task: the miniwob package has no task {task!r}")
        address = f"http://{_HOST}/miniwob/{task}.html"
        if task != self.task or self.url.partition("#")[0] != address:
            self.open(address)
        self.task, self._seed = task, seed
        self.goal = self._begin()
        self._pointer = (0.0, 0.0)

    def _begin(self) -> str:
        return self.evaluate(_BEGIN, [f"{self.task} {self._seed}", _MAX_TIME_MS])

    def _reopen(self, address: str) -> None:
        super()._reopen(address)
        if "/miniwob/" in address:
            self._page.evaluate(_BEGIN, [f"{self.task} {self._seed}", _MAX_TIME_MS])

    def _new_context(self) -> None:
        super()._new_context()
        self._context.add_init_script(_STYLE)

    @property
    def done(self) -> bool:
        """Whether the task has ended, well or not."""
        return bool(self.evaluate("WOB_DONE_GLOBAL"))

    @property
    def reward(self) -> float:
        """The task's own reward without time penalty, -1 to 1; 0 as long as it goes on."""
        return float(self.evaluate("WOB_RAW_REWARD_GLOBAL"))

    @property
    def success(self) -> bool:
        """Whether the task was done as `TASKS` asks for."""
        return self.done and self.reward >= TASKS.get(self.task, WHOLE)

    def next_call(self) -> str:
        """The policy's next step, written as a model writes it; raises ValueError for a task that has no policy."""
        if self.task not in TASKS:
            raise ValueError(f"task: no policy for {self.task!r}; there is one for {', '.join(TASKS)}")
        move = self.evaluate(_POLICY.read_text(encoding="utf-8"), [self.task, self.goal, [*self._pointer]])
        return write_call("computer_use", self._arguments(*(move or ("wait",))))

    def _arguments(self, kind: str, *rest) -> dict:
        """A move of the policy as arguments of computer_use; a drag begins with the pointer's way to its start."""
        if kind == "drag":
            start, end = self._grid(rest[:2]), self._grid(rest[2:])
            at_start = max(abs(a - b) for a, b in zip(start, self._grid(self._pointer), strict=True)) <= _AT_START
            return {"action": "left_click_drag", "coordinate": end} if at_start else {"action": "mouse_move", "coordinate": start}
        if kind == "scroll":
            return {"action": "scroll", "coordinate": self._grid(rest[1:]), "pixels": rest[0]}
        key = {"type": "text", "key": "keys", "wait": "time"}.get(kind)
        return {"action": kind, key: rest[0] if rest else 1} if key else {"action": kind, "coordinate": self._grid(rest)}

    def _grid(self, point) -> list[int]:
        """A point of the page, in CSS pixels, on the grid of the screen."""
        x, y = point
        return [min(1000, max(0, step)) for step in to_grid([x - self._clip[0], y - self._clip[1]], self._clip[2:]).tolist()]
