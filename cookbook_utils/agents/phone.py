"""A phone of our own as an environment: launcher, settings, messages, clock, shop, notes, weather.

The pages lie in `assets/phone` and need nothing from outside. A seed decides what the phone holds and how it looks: names,
messages, prices, alarms, the order of apps and settings, colours, dark or light. Its time stands still. All of its state can
be read, which is how `phone_goals.py` knows whether a goal was reached.
"""

from __future__ import annotations

from pathlib import Path

from ..coordinates import to_grid
from .touch import TouchScreen

__all__ = ["Phone"]

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "phone"
_HOST = "phone.test"
_MARGIN = 6  # CSS pixels of a control that must show before a tap on its centre is safe


class Phone(TouchScreen):
    """The phone with the contents of one seed.

    scale: device scale factor; at 0.8 a screen is 288 x 512 pixels, 144 visual tokens, and all text is legible.
    Further options as in `Browser`.
    """

    def __init__(self, seed: int = 0, *, scale: float = 0.8, **options):
        if not (FOLDER / "index.html").is_file():
            raise FileNotFoundError(f"the phone's pages are not in {FOLDER}: use a complete clone of the repository")
        options = {"folders": {_HOST: FOLDER}, "settle_s": 0, **options}
        super().__init__(f"http://{_HOST}/?seed={int(seed)}", scale=scale, **options)

    def reset(self, seed: int) -> None:
        """Give the phone the contents of another seed and show its launcher."""
        self._start = f"http://{_HOST}/?seed={int(seed)}"
        if self.url.startswith(f"http://{_HOST}/"):
            self.evaluate("seed => phone.reset(seed)", int(seed))
        else:
            self.open(self._start)

    def state(self) -> dict:
        """What the phone holds and shows.

        `data`: what goals speak of (switches, conversations, alarms, cart, orders, notes, ...); `look`: what seeds
        vary besides; `screen`, `of`: the screen and what it is of; `menu`, `focus`, `drafts`, `chosen`: what is open.
        """
        if not self.url.startswith(f"http://{_HOST}/"):
            self.open(self._start)  # whatever led away from the phone, it is as at the start
        return self.evaluate("phone.state()")

    def place(self, name: str) -> dict | None:
        """Where a control is: `point` on the 0-1000 grid, and `hidden`, which way it is scrolled away ("up", "down", "").

        None where the screen has no such control.
        """
        found = self.evaluate("name => phone.locate(name)", name)
        if found is None:
            return None
        (left, top, right, bottom), (_, upper, _, lower) = found["box"], found["within"]
        x, y = (left + right) / 2, (top + bottom) / 2
        hidden = "up" if y < upper + _MARGIN else "down" if y > lower - _MARGIN else ""
        return {"point": to_grid([x, y], self._viewport).tolist(), "hidden": hidden}
