"""How goals on the phone are checked, and how a policy walks to them.

A policy looks at the phone's state only and names the next move, from wherever the phone is; so it can also show the way
back from a wrong turn. `next_call` turns a move into a call, as a model would write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .record import Record
from .schemas import write_call

__all__ = ["Goal", "Move", "enter", "next_call", "path", "says", "until", "writing"]

Move = tuple[str, str]  # tap, hold, type, key, press, answer or end; and what
HOME, BACK, END = ("press", "Home"), ("press", "Back"), ("end", "success")
_SCREENS_OF = {  # app -> its screens
    "Settings": ("Settings", "Display", "Sound", "About"), "Messages": ("Messages", "Conversation"),
    "Clock": ("Clock", "NewAlarm"), "Shop": ("Shop", "Product", "Cart", "Ordered"), "Notes": ("Notes", "Note", "NewNote"),
    "Weather": ("Weather",),
}  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """One goal: what the user says, what the phone's data must be in the end, and how to get there.

    answer: what must be answered, "" where something must be done; follow: state -> the next move.
    """

    kind: str
    text: str
    wanted: dict = field(repr=False)
    follow: Callable[[dict], Move] = field(repr=False)
    answer: str = ""

    def reached(self, state: dict, record: Record) -> bool:
        """Whether a run that left the phone in this state reached the goal."""
        if state["data"] != self.wanted:
            return False
        if self.answer:
            return record.stopped == "answer" and says(record.answer, self.answer)
        return record.stopped == "terminate" and record.status == "success"


def says(answer: str, expected: str) -> bool:
    """Whether an answer gives what was expected, as a whole and in not many more words.

    >>> says("It is $12.50.", "$12.50"), says("$2.50", "$12.50"), says("Rain", "rain")
    (True, False, True)
    """
    words, wanted = (re.findall(r"-?[\w$°]+(?:[.:,]\d+)*", text.casefold()) for text in (answer, expected))
    spots = range(len(words) - len(wanted) + 1)
    return len(words) <= len(wanted) + 12 and any(words[spot : spot + len(wanted)] == wanted for spot in spots)


def next_call(phone, goal: Goal) -> str:
    """The policy's next step on a phone, written as a model writes it: scrolls to what is out of sight first."""
    kind, of = goal.follow(phone.state())
    if kind in ("tap", "hold"):
        place = phone.place(of)
        if place is None:
            return _write(action="system_button", button="Back")
        if place["hidden"]:
            ends = [[500, 780], [500, 280]]
            start, end = ends if place["hidden"] == "down" else ends[::-1]
            return _write(action="swipe", coordinate=start, coordinate2=end)
        return _write(action="click" if kind == "tap" else "long_press", coordinate=place["point"])
    key = {"press": "button", "end": "status"}.get(kind, "text")
    return _write(action={"press": "system_button", "end": "terminate"}.get(kind, kind), **{key: of})


def _write(**arguments) -> str:
    return write_call("mobile_use", arguments)


# --- moves ----------------------------------------------------------------------------------------------------------


def enter(app: str, state: dict) -> Move:
    """Towards an app's first screen, from anywhere but there."""
    if state["menu"] or state["screen"] in _SCREENS_OF[app]:
        return BACK
    return ("tap", f"app {app}") if state["screen"] == "home" else HOME


def path(app: str, *steps: tuple[str, str | None, str]) -> Callable[[dict], Move]:
    """Walk screens of an app: each step is a screen, what it is of (None: whatever), and what to tap there."""

    def follow(state: dict) -> Move:
        for screen, of, name in steps if not state["menu"] else ():
            if state["screen"] == screen and of in (None, state["of"]):
                return "tap", name
        return enter(app, state)

    return follow


def until(reached: Callable[[dict], bool], follow: Callable[[dict], Move]) -> Callable[[dict], Move]:
    """Follow until the phone's data are right, then say so."""
    return lambda state: END if reached(state["data"]) else follow(state)


def writing(name: str, text: str, send: str) -> Callable[[dict], Move]:
    """Fill a field with a text and send it off; the field is `name`, the button `send`."""

    def follow(state: dict) -> Move:
        if (state["drafts"].get(name) or "") == text:
            return "tap", send
        if state["focus"] != name:
            return "tap", name
        return ("key", "clear") if state["drafts"].get(name) else ("type", text)

    return follow
