"""Two models that see nothing: one acts at random, one knows. Between them a real model's success rate means something.

Both have the `chat` that the loop calls, and answer with a `Reply` in the form of Qwen's models, so that they run through
the very same loop, checks and environments.
"""

import random
import re
from collections.abc import Callable

from ..models.reply import Reply
from .schemas import GRID, write_call

__all__ = ["Oracle", "RandomModel"]


def reply_of(text: str) -> Reply:
    """A reply with this text, as a model's backend would return it."""
    return Reply.read(text, usage={}, seconds=0.0, finish_reason="stop")


class Oracle:
    """A model that asks a policy, which looks into the page instead of at the picture.

    policy: returns the next step as a model writes it, see `write_call`.
    """

    def __init__(self, policy: Callable[[], str]):
        self._policy = policy

    def chat(self, messages, **_) -> Reply:
        return reply_of(self._policy())


class RandomModel:
    """A model that clicks anywhere, types words of its goal, drags, scrolls, and now and then says that it is done.

    seed: of its choices, a number or a text. It does what a blind agent could do, with the shares below, with whichever tool
    it is given.
    """

    def __init__(self, seed: int | str = 0):
        self._random = random.Random(seed)

    def chat(self, messages, *, tools, **_) -> Reply:
        name = tools[0]["function"]["name"]
        goal = messages[0]["content"][-1]["text"].partition("\n")[0].partition(": ")[2]
        return reply_of(write_call(name, self._mobile(goal) if name == "mobile_use" else self._computer(goal)))

    def _computer(self, goal: str) -> dict:
        kind = self._random.choices(
            ("left_click", "type", "left_click_drag", "scroll", "key", "terminate"), (70, 12, 6, 5, 2, 5)
        )[0]
        return {"action": kind} | {
            "left_click": lambda: {"coordinate": self._point()},
            "type": lambda: {"text": self._word(goal)},
            "left_click_drag": lambda: {"coordinate": self._point()},
            "scroll": lambda: {"pixels": self._random.choice((-100, 100)), "coordinate": self._point()},
            "key": lambda: {"keys": ["enter"]},
            "terminate": lambda: {"status": "success"},
        }[kind]()

    def _mobile(self, goal: str) -> dict:
        kind = self._random.choices(("click", "swipe", "type", "long_press", "system_button", "answer", "terminate"),
                                    (68, 8, 6, 5, 4, 4, 5))[0]  # fmt: skip
        return {"action": kind} | {
            "click": lambda: {"coordinate": self._point()},
            "swipe": lambda: {"coordinate": self._point(), "coordinate2": self._point()},
            "type": lambda: {"text": self._word(goal)},
            "long_press": lambda: {"coordinate": self._point()},
            "system_button": lambda: {"button": "Back"},
            "answer": lambda: {"text": self._word(goal)},
            "terminate": lambda: {"status": "success"},
        }[kind]()

    def _point(self) -> list[int]:
        return [self._random.randint(0, GRID), self._random.randint(0, GRID)]

    def _word(self, goal: str) -> str:
        return self._random.choice(re.findall(r"\w+", goal) or ["text"])
