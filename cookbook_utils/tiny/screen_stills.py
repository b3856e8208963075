"""Stills: screens that no walk led to, with words that no episode holds, so that what is written is read and not known.

- The phone in a state that a seed chooses (`screen_stills.js`), half of the time with invented names, messages, notes and
  goods; its goals are those of `phone_goals`, made for that state, with the policy's next call.
- A page in the looks of MiniWoB++, its widgets and texts at random; its goals are clicks on what is written there.

A still is a record of one step, as `screen_recorder.episode_of` makes them of many.
"""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..agents.benchmark import HELD_OUT
from ..agents.browser import Browser
from ..agents.chromium import Chromium
from ..agents.miniwob import MiniWob
from ..agents.phone import Phone
from ..agents.phone_policy import Goal, next_call
from . import page_words as say
from .screen_parts import screen_of
from .screen_recorder import Glance, goals_of, possible, recorded, seen_on
from .screen_tasks import tap

__all__ = ["STILLS", "record", "still_of"]

COUNT = 200  # in a shard
GOALS_MOST, TRIES, OF_A_KIND = 10, 6, 3  # goals kept of a still of the phone; seeds of a kind that are tried, and goals kept of it
AWAY = 3  # of these goals, how many may begin with Back or Home
INVENTED = 0.6  # share of phones with invented words
TYPED = 0.6  # share of forms of the phone in which something was written
IN_A_ROW = 20  # pages with the same scripts, since loading others takes longer than all else
FIRST_CLICKS = 12  # tries to find elements of a page that can be asked for
_JS = Path(__file__).with_name("screen_stills.js")
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnprstvwz"

Still = tuple[dict, list[Image.Image]]


# --- words -----------------------------------------------------------------------------------


def syllables(rng: random.Random) -> str:
    """A word that there is not: "Benu", "Torvik"."""
    made = "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 3)))
    return (made + rng.choice(_CONSONANTS) * rng.randint(0, 1)).capitalize()


def word(rng: random.Random) -> str:
    """Mostly one of the pages' words."""
    pool = rng.choice((say.NOUNS, say.ADJECTIVES, say.VERBS, say.ITEMS, say.GOODS, say.FIRST_NAMES, say.SURNAMES, say.CITIES))
    return syllables(rng) if rng.random() < 0.35 else rng.choice(pool)


def phrase(rng: random.Random, least: int, most: int) -> str:
    """A few words, the first one with a capital letter."""
    made = " ".join(word(rng).lower() for _ in range(rng.randint(least, most)))
    return made[0].upper() + made[1:]


def different(make: Callable[[], str], count: int) -> list[str]:
    """So many texts of which no two are the same."""
    made: dict[str, None] = {}
    while len(made) < count:
        made[make()] = None
    return list(made)


def phone_words(rng: random.Random) -> dict[str, list]:
    """Invented lists in place of those of the phone's pages (`WORDS` in assets/phone/data.js)."""
    icons = ("mug", "lamp", "book", "plant", "headphones", "bag", "clockface", "umbrella", "camera", "ball", "bottle", "scarf", "guitar")
    a_list, *notes = different(lambda: phrase(rng, 1, 2), 7)
    return {
        "names": different(lambda: word(rng).capitalize(), 12),
        "lines": different(lambda: phrase(rng, 2, 4), 30), "replies": different(lambda: phrase(rng, 1, 3), 8),
        "notes": notes, "lists": [a_list], "bodies": different(lambda: phrase(rng, 3, 5), 6),
        "items": different(lambda: word(rng).capitalize(), 8),
        "labels": different(lambda: phrase(rng, 1, 2), 6),
        "goods": [[name, rng.choice(icons)] for name in different(lambda: phrase(rng, 1, 2), 10)],
        "ringtones": different(lambda: word(rng).capitalize(), 6), "models": [word(rng).capitalize()], "cities": [syllables(rng)],
    }  # fmt: skip


# --- the phone -------------------------------------------------------------------------------

_FORMS = {"Conversation": ("send", "message"), "NewNote": ("new_note", "title")}  # screen -> kind of goal, its field
_TYPE = """([field, text]) => { S.drafts[field] = text; draw(); document.querySelector(`[data-draft="${field}"]`).focus(); }"""


def phone_still(phone: Phone, rng: random.Random) -> dict:
    """The step of a still of the phone, which then shows it, with its `goal`."""
    phone.state()  # opens the phone's page if need be
    phone.evaluate(_JS.read_text(encoding="utf-8"), [rng.randrange(HELD_OUT), phone_words(rng) if rng.random() < INVENTED else {}])
    first = written(phone, rng)
    seen = Glance(phone)
    here, away = goals_of(seen, rng, TRIES, OF_A_KIND)
    if first:
        here.insert(0, {"goal": first.text, "call": next_call(seen, first)})
    main, *others = [*here[:GOALS_MOST], *away[:AWAY]]
    return {**main, "others": others}


def written(phone: Phone, rng: random.Random) -> Goal | None:
    """Writes into the form that the phone shows, if it shows one, and returns the goal that it is for."""
    state = phone.state()
    if state["screen"] not in _FORMS or rng.random() > TYPED:
        return None
    kind, field = _FORMS[state["screen"]]
    goals = (possible(kind, rng.randrange(HELD_OUT), state) for _ in range(4 * TRIES))
    goal = next((goal for goal in goals if goal and goal.follow(state) == ("tap", field)), None)
    if goal is None:
        return None
    text = re.search('"(.+)"', goal.text)[1]
    phone.evaluate(_TYPE, [field, rng.choices((text, "", phrase(rng, 1, 2)), (6, 3, 1))[0]])
    return goal


# --- pages -----------------------------------------------------------------------------------

_BARE, _WITH_UI = "click-button", "click-collapsible-2"  # tasks whose pages are borrowed; the latter has jQuery UI
_FONTS = ("inherit",) * 5 + ("sans-serif", "serif", "Arial", "Verdana", "monospace")
_SHOW = """([content, style]) => {
  const area = document.querySelector('#area');
  area.style.cssText = style;
  area.innerHTML = content;
  if (!window.jQuery || !jQuery.ui) return;
  $('.make-accordion').accordion({heightStyle: 'content', collapsible: true});
  $('.make-tabs').tabs();
  $('.make-menu').menu();
  $('.make-spinner').spinner();
}"""


def number(rng: random.Random) -> str:
    return rng.choice((
        lambda: str(rng.randint(0, 999)), lambda: f"{rng.randint(1, 12):02d}/{rng.randint(1, 28):02d}/{rng.randint(1990, 2030)}",
        lambda: f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}", lambda: f"${rng.randint(1, 99)}.{rng.randint(0, 99):02d}",
        lambda: f"{rng.randint(1, 30)} {rng.choice('+-x')} {rng.randint(1, 30)} =", lambda: f"#{rng.randint(1, 20)}",
    ))()  # fmt: skip


def token(rng: random.Random) -> str:
    """Letters and digits at random, as in passwords."""
    return "".join(rng.choices("abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=rng.randint(2, 6)))


def label(rng: random.Random) -> str:
    """What stands on a control."""
    made = rng.choices((phrase(rng, 1, 2), word(rng), word(rng).upper(), number(rng), token(rng)), (6, 3, 1, 1, 1.5))[0]
    return html.escape(made)


def paragraph(rng: random.Random) -> str:
    words = [f'<span class="alink">{part}</span>' if rng.random() < 0.2 else part for part in phrase(rng, 3, 10).split()]
    return f"<div>{' '.join(words)}.</div>"


def buttons(rng: random.Random) -> str:
    return " ".join(f"<button>{label(rng)}</button>" for _ in range(rng.randint(1, 3))) + "<br>"


def fields(rng: random.Random) -> str:
    value = rng.choice(("", label(rng)))
    return f'<label>{label(rng)}</label><br><input type="text" value="{value}" style="width: {rng.randint(50, 140)}px"><br>'


def choices(rng: random.Random) -> str:
    kind, checked = rng.choice(("checkbox", "radio")), ("", " checked")
    rows = (f'<label><input type="{kind}"{rng.choice(checked)}>{label(rng)}</label><br>' for _ in range(rng.randint(2, 4)))
    return "".join(rows)


def rows(rng: random.Random) -> str:
    side = rng.choice(("1px solid #ccc", "1px solid black", "0"))
    cells = (f"<tr><td>{label(rng)}</td><td>{html.escape(rng.choice((number, word))(rng))}</td></tr>" for _ in range(rng.randint(2, 5)))
    return f'<table style="border-collapse: collapse; width: 95%"><style>td {{ border: {side} }}</style>{"".join(cells)}</table>'


def select(rng: random.Random) -> str:
    return f'<select style="width: {rng.randint(60, 150)}px"><option>{label(rng)}</option></select><br>'


def headline(rng: random.Random) -> str:
    return f'<div style="font-size: {rng.randint(12, 22)}px; color: {colour(rng)}; font-weight: {rng.choice(("bold", "normal"))}">{label(rng)}</div>'


def colour(rng: random.Random) -> str:
    return f"hsl({rng.randrange(360)}, {rng.randint(20, 90)}%, {rng.randint(15, 45)}%)"


def entries(rng: random.Random) -> str:
    style = f"border-bottom: 1px solid #ccc; padding: {rng.randint(1, 5)}px; background: {rng.choice(('white', '#f4f4f4', '#eef'))}"
    return "".join(
        f'<div class="row" data-id="{name}" style="{style}"><b>{name}</b><br>{phrase(rng, 1, 3)}</div>'
        for name in different(lambda: word(rng).capitalize(), rng.randint(2, 4))
    )


def accordion(rng: random.Random) -> str:
    return f'<div class="make-accordion">{"".join(f"<h3>{label(rng)}</h3><div>{phrase(rng, 2, 6)}</div>" for _ in range(rng.randint(2, 3)))}</div>'


def tabs(rng: random.Random) -> str:
    names = [rng.choice((token, word))(rng) for _ in range(rng.randint(2, 3))]
    heads = "".join(f'<li><a href="#tab-{n}">{name}</a></li>' for n, name in enumerate(names))
    return f'<div class="make-tabs"><ul>{heads}</ul>{"".join(f"""<div id="tab-{n}">{paragraph(rng)}</div>""" for n in range(len(names)))}</div>'


def menu(rng: random.Random) -> str:
    names = different(lambda: word(rng).capitalize(), rng.randint(3, 5))
    return f'<ul class="make-menu" style="width: {rng.randint(70, 120)}px">{"".join(f"<li><div>{name}</div></li>" for name in names)}</ul>'


def spinner(rng: random.Random) -> str:
    return f'<label>{label(rng)}</label><br><input class="make-spinner" value="{rng.randint(-20, 20)}" style="width: {rng.randint(50, 110)}px"><br>'


WIDGETS: dict[Callable, float] = {
    paragraph: 6, buttons: 4, fields: 3, choices: 4, rows: 2, select: 1, headline: 1, entries: 2,
}  # fmt: skip
OF_UI: dict[Callable, float] = {accordion: 3, tabs: 3, menu: 2, spinner: 1}


def content(rng: random.Random, table: dict[Callable, float], count: int) -> str:
    """Widgets below each other, with gaps of any height."""
    made = rng.choices(list(table), list(table.values()), k=count)
    return "".join(f'<div style="margin: {rng.randint(0, 12)}px 0 0 {rng.randint(0, 12)}px">{one(rng)}</div>' for one in made)


def show_page(page: MiniWob, rng: random.Random, with_ui: bool) -> None:
    """Shows a page of random widgets; `with_ui`: also those of jQuery UI."""
    task = _WITH_UI if with_ui else _BARE
    if page.task != task or page.done:
        page.reset(0, task)
    made = content(rng, WIDGETS | OF_UI if with_ui else WIDGETS, rng.randint(1, 4))
    page.evaluate(_SHOW, [made, f"font-size: {rng.choice((10, 10, 10, 11, 12, 14))}px; font-family: {rng.choice(_FONTS)}; line-height: normal"])


# --- records ---------------------------------------------------------------------------------


def still_of(environment: Browser, seed: int) -> tuple[dict, list[Image.Image]] | None:
    """A still of a phone or of a page in the looks of MiniWoB++: its record and its one screen.

    None where there is nothing on it that can be asked for. The same seed gives the same still.
    """
    rng, phone = random.Random(f"still {seed}"), isinstance(environment, Phone)
    step = phone_still(environment, rng) if phone else show_page(environment, rng, with_ui=seed // IN_A_ROW % 3 == 0)
    step = {"goal": "", "call": "", "others": [], **(step or {}), "reply": "", "erred": False, "observation": "", "error": ""}
    step |= seen_on(environment)
    record = {"task": "still", "seed": seed, "goal": step.pop("goal"), "tool": environment.tool, "steps": [step]}
    screen = environment.screenshot()
    if not phone and not ask_for_clicks(record, screen, seed):
        return None
    step["reply"] = step["call"]
    return record, [screen]


def ask_for_clicks(record: dict, picture: Image.Image, seed: int) -> bool:
    """Gives the record of a page its goals: clicks on elements; returns whether there are any."""
    screen, rng = screen_of(record, 0, picture), np.random.default_rng([seed, 5])
    turns = [turn for turn in (tap(screen, rng) for _ in range(FIRST_CLICKS)) if turn]
    goals = list({turn.expect["goal"]: turn.answer for turn in turns}.items())
    if not goals:
        return False
    (record["goal"], record["steps"][0]["call"]), *others = goals
    record["steps"][0]["others"] = [{"goal": goal, "call": call} for goal, call in others]
    return True


STILLS: dict[str, Callable[[Chromium], Browser]] = {
    "stills-phone": lambda chromium: Phone(chromium=chromium),
    "stills-miniwob": lambda chromium: MiniWob(_BARE, chromium=chromium),
}


def record(folder: Path, shards: list[tuple[str, int]]) -> Iterator[tuple[Path, int]]:
    """Record shards `(name in STILLS, number)` into a folder one after the other, and yield each file with its stills.

    Shard n holds stills 200 n to 200 n + 199, those left out that show nothing to ask for.
    """

    def made(environment: Browser, number: int):
        stills = ((seed, still_of(environment, seed)) for seed in range(number * COUNT, (number + 1) * COUNT))
        return ((f"still_{seed}", *still) for seed, still in stills if still)

    yield from recorded(folder, shards, STILLS, made)
