"""What an agent acts in, behind one small interface: look at the screen, act, close.

    with Browser("https://example.com") as environment:
        picture = environment.screenshot()
        observation = environment.act({"action": "left_click", "coordinate": [500, 300]})

An action is what `validate_call` returns: coordinates on the 0-1000 grid, which each environment maps to its own pixels.
The observation is empty as long as the picture tells all; it speaks of what a picture cannot show (a dialog that was
answered, a new tab, a crash). An action that cannot be done here raises `ToolError`, which the loop answers to the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..coordinates import to_pixels
from .schemas import ToolError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Environment", "Target"]


@dataclass(frozen=True)
class Target:
    """What an action would meet: the words on it, whether it takes a secret, and the address that it leads to.

    words: what a reader of the screen would call it; secret: a field for a password, a card or a code;
    url: where a link or a form leads, "" if nowhere.
    """

    words: str = ""
    secret: bool = False
    url: str = ""


class Environment:
    """A screen and what can be done on it; subclasses say how.

    tool: the name of the tool whose actions it takes; size: `(width, height)` of its pictures in pixels;
    hosts: the hosts that it may speak to; done: whether the task has ended by itself.
    """

    tool: str
    size: tuple[int, int]
    hosts: tuple[str, ...] = ()
    done: bool = False

    def screenshot(self) -> Image.Image:
        """The screen as it is now, RGB, of `size`."""
        raise NotImplementedError

    def act(self, action: dict) -> str:
        """Do one action and return what the next picture will not show; raises ToolError for one that cannot be done."""
        raise NotImplementedError

    def target(self, action: dict) -> Target | None:
        """What the action would meet, where the environment can tell."""
        return None

    def allow(self, host: str) -> None:
        """Let the environment speak to one more host."""
        self.hosts = (*self.hosts, host)

    def close(self) -> None:
        """Give back what the environment holds; a second call does nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def pixel(self, coordinate: list) -> tuple[float, float]:
        """A point of the 0-1000 grid in pixels of the screen, kept inside it: 1000 is the last pixel, not the one after."""
        return inside(coordinate, self.size)

    def handler(self, action: dict) -> Callable[[dict], object]:
        """The method that does an action: `_left_click` for "left_click"."""
        method = getattr(self, f"_{action['action']}", None)
        if method is None:
            raise ToolError(f"{action['action']} cannot be done here")
        return method


def inside(coordinate: list, size: tuple[float, float]) -> tuple[float, float]:
    """A point of the 0-1000 grid on a screen of a size, kept inside it.

    >>> inside([500, 1000], (200, 100))
    (100.0, 99.0)
    """
    x, y = to_pixels(coordinate, size).tolist()
    return min(x, size[0] - 1.0), min(y, size[1] - 1.0)
