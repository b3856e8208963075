"""A plain picture as an environment: it shows the same screen for ever, and what is done to it is only drawn.

For looking at what a model would do first, on any screenshot, without a device.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from .environment import Environment

__all__ = ["Still"]


class Still(Environment):
    """One screenshot.

    image: a PIL picture or the path of one; tool: `computer_use` or `mobile_use`. `actions` collects what was done,
    `drawn` is the picture with all of it on.

    >>> still = Still(Image.new("RGB", (200, 100)))
    >>> still.act({"action": "left_click", "coordinate": [500, 500]})
    'this is a picture: the action was drawn, and nothing else happened'
    >>> still.drawn().size
    (200, 100)
    """

    def __init__(self, image: Image.Image | str | Path, *, tool: str = "computer_use"):
        if tool not in ("computer_use", "mobile_use"):
            raise ValueError(f"tool must be computer_use or mobile_use, got {tool!r}")
        self._image = image if isinstance(image, Image.Image) else Image.open(image)
        self._image = self._image.convert("RGB")
        self.tool, self.size = tool, self._image.size
        self.actions: list[dict] = []

    def screenshot(self) -> Image.Image:
        return self._image.copy()

    def act(self, action: dict) -> str:
        self.actions.append(action)
        return "this is a picture: the action was drawn, and nothing else happened"

    def drawn(self) -> Image.Image:
        """The picture with every action drawn on it."""
        from .record import draw_action

        picture = self._image
        for action in self.actions:
            picture = draw_action(picture, action)
        return picture.copy()
