"""What may be asked of the phone: twenty kinds of goals, each with its checker and with a policy that reaches it.

A goal is made from the phone's state at its start, so that it speaks of what is there. It is reached when the phone's data
are exactly what the goal makes of them, nothing else touched, and the agent has said that it is done, or has given the right
answer. Each kind is a function of a random generator, the state, and a copy of its data, in which it makes the change that it
wants; it returns what the user says, the policy that gets there, and the answer where one is asked for.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

from .phone_policy import Goal, Move, enter, path, until, writing

__all__ = ["GOALS", "make_goal"]

_SWITCHES = {
    "airplane": "Airplane mode", "wifi": "Wi-Fi", "bluetooth": "Bluetooth", "data": "Mobile data", "location": "Location",
    "saver": "Battery saver", "rotate": "Auto-rotate", "hotspot": "Hotspot",
}  # fmt: skip
_SAY = ("Meet me at {time}", "I will be there at {time}", "Call {name}", "Happy birthday", "Bring the {thing}", "See you on {day}",
        "I am late", "Lunch at {time}", "Thank you", "Where is the {thing}", "Good morning", "Ask {name}", "Not on {day}")  # fmt: skip
_REMEMBER = ("Buy a {thing}", "Call {name}", "Dinner at {time}", "Visit {name}", "Fix the {thing}", "Party on {day}",
             "Find the {thing}", "Write to {name}", "Train at {time}", "Walk on {day}")  # fmt: skip
_NAMES = ("Ada", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Ines", "Jonas", "Kai", "Laura", "Max", "Nora", "Oscar",
          "Paul", "Rosa", "Sam", "Tara", "Zoe")  # fmt: skip
_THINGS = ("lamp", "book", "bag", "key", "cake", "chair", "phone", "ticket", "map", "cup", "box", "tent", "bike", "hat", "rope")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def make_goal(kind: str, seed: int, state: dict) -> Goal:
    """A goal of a kind for the phone that is in this state; the seed chooses among what could be asked.

    Raises ValueError for a kind that there is not.
    """
    if kind not in GOALS:
        raise ValueError(f"kind: expected one of {', '.join(GOALS)}, got {kind!r}")
    wanted = copy.deepcopy(state["data"])
    rng = random.Random(f"{kind} {seed}")
    text, follow, *answer = GOALS[kind](rng, state, wanted)
    return Goal(kind, text, wanted, follow, *answer)


def words(rng: random.Random, templates: tuple[str, ...]) -> str:
    """A short text to write, new with nearly every seed."""
    time = f"{rng.randint(1, 12)}:{rng.choice(('00', '15', '30', '45'))}"
    return rng.choice(templates).format(name=rng.choice(_NAMES), thing=rng.choice(_THINGS), day=rng.choice(_DAYS), time=time)


# --- settings -------------------------------------------------------------------------------------------------------


def switch(rng, state, wanted):
    key = rng.choice(sorted(_SWITCHES))
    wanted["switches"][key] = on = not wanted["switches"][key]
    said = rng.choice(("Turn {} {}", "Switch {} {}", "Please turn {} {}")).format("on" if on else "off", _SWITCHES[key])
    return said, until(lambda data: data["switches"][key] == on, path("Settings", ("Settings", None, _SWITCHES[key])))


def theme(rng, state, wanted):
    wanted["dark"] = dark = not wanted["dark"]
    said = rng.choice(("Switch to the {} theme", "Use the {} theme", "Make the screen {}")).format("dark" if dark else "light")
    return said, until(lambda data: data["dark"] == dark, _inside("Display", "Dark theme"))


def text_size(rng, state, wanted):
    size = rng.choice([size for size in ("Small", "Medium", "Large") if size != wanted["size"]])
    wanted["size"] = size
    said = rng.choice(("Set the text size to {}", "Change the text size to {}", "Make the text {}")).format(size.lower())
    return said, until(lambda data: data["size"] == size, _inside("Display", f"Text size {size}"))


def ringtone(rng, state, wanted):
    tone = rng.choice([tone for tone in state["look"]["ringtones"] if tone != wanted["ringtone"]])
    wanted["ringtone"] = tone
    said = rng.choice(("Set the ringtone to {}", "Choose the ringtone {}", "Use {} as the ringtone")).format(tone)
    return said, until(lambda data: data["ringtone"] == tone, _inside("Sound", f"Ringtone {tone}"))


def sound(rng, state, wanted):
    key, name = rng.choice((("silent", "Silent mode"), ("vibrate", "Vibrate")))
    wanted[key] = on = not wanted[key]
    said = rng.choice(("Turn {} {}", "Switch {} {}")).format("on" if on else "off", name.lower())
    return said, until(lambda data: data[key] == on, _inside("Sound", name))


def about(rng, state, wanted):
    key, said, ending = rng.choice((
        ("model", "Which model is this phone?", ""), ("version", "Which system version does this phone have?", ""),
        ("storage", "How much storage is free?", " GB"),
    ))  # fmt: skip
    answer = f"{state['look'][key]}{ending}"
    walk = path("Settings", ("Settings", None, "About phone"))
    return said, lambda now: ("answer", answer) if now["screen"] == "About" else walk(now), answer


def _inside(screen: str, name: str) -> Callable[[dict], Move]:
    return path("Settings", (screen, None, name), ("Settings", None, screen))


# --- messages -------------------------------------------------------------------------------------------------------


def send(rng, state, wanted):
    talk = rng.choice(wanted["conversations"])
    name, text = talk["name"], words(rng, _SAY)
    talk["messages"].append({"mine": True, "text": text})
    said = rng.choice(('Send {0} the message "{1}"', 'Write "{1}" to {0}', 'Tell {0}: "{1}"')).format(name, text)
    write, walk = writing("message", text, "Send"), path("Messages", ("Messages", None, name))

    def follow(now):
        there = now["screen"] == "Conversation" and now["of"] == name and not now["menu"]
        return write(now) if there else walk(now)

    return said, until(lambda data: _ends_with(data, name, text), follow)


def _ends_with(data: dict, name: str, text: str) -> bool:
    return any(one["name"] == name and one["messages"][-1] == {"mine": True, "text": text} for one in data["conversations"])


def read(rng, state, wanted):
    talk = rng.choice(wanted["conversations"])
    name, answer = talk["name"], talk["messages"][-1]["text"]
    said = rng.choice(
        ("What did {} write last?", "What is the last message from {}?", "Read me the last message from {}")
    ).format(name)
    walk = path("Messages", ("Messages", None, name))
    return said, lambda now: ("answer", answer) if (now["screen"], now["of"]) == ("Conversation", name) else walk(now), answer


def delete_chat(rng, state, wanted):
    name = rng.choice(wanted["conversations"])["name"]
    wanted["conversations"] = [one for one in wanted["conversations"] if one["name"] != name]
    said = rng.choice(("Delete the conversation with {}", "Remove the messages from {}")).format(name)
    return said, until(lambda data: all(one["name"] != name for one in data["conversations"]), _menu("Messages", name, "Delete"))


def pin_chat(rng, state, wanted):
    talk = rng.choice(wanted["conversations"][1:])
    wanted["conversations"].remove(talk)
    wanted["conversations"].insert(0, talk)
    name = talk["name"]
    said = rng.choice(("Pin the conversation with {}", "Pin {} to the top of the messages")).format(name)
    return said, until(lambda data: data["conversations"][0]["name"] == name, _menu("Messages", name, "Pin to top"))


def _menu(app: str, name: str, choice: str) -> Callable[[dict], Move]:
    """Hold something on an app's first screen and choose from its menu."""

    def follow(state: dict) -> Move:
        if state["menu"] and state["menu"]["of"] == name:
            return "tap", choice
        return ("hold", name) if state["screen"] == app and not state["menu"] else enter(app, state)

    return follow


# --- clock ----------------------------------------------------------------------------------------------------------


def alarm(rng, state, wanted):
    one = rng.choice(wanted["alarms"])
    one["on"] = on = not one["on"]
    time = one["time"]
    said = rng.choice(("Turn {0} the {1} alarm", "Switch the alarm at {1} {0}")).format("on" if on else "off", time)
    walk = path("Clock", ("Clock", "Timer", "tab Alarm"), ("Clock", None, f"alarm {time}"))
    return said, until(lambda data: {"time": time, "on": on} in [{k: a[k] for k in ("time", "on")} for a in data["alarms"]], walk)


def new_alarm(rng, state, wanted):
    taken = {one["time"] for one in wanted["alarms"]}
    times = [
        (hour, minute) for hour in range(24) for minute in (0, 10, 15, 20, 30, 45) if f"{hour:02d}:{minute:02d}" not in taken
    ]
    hour, minute = rng.choice(times)
    time = f"{hour:02d}:{minute:02d}"
    wanted["alarms"] = sorted([*wanted["alarms"], {"time": time, "on": True, "label": "Alarm"}], key=lambda one: one["time"])
    said = rng.choice(("Set an alarm for {}", "Add an alarm at {}", "Wake me at {}")).format(time)
    walk = path("Clock", ("Clock", "Timer", "tab Alarm"), ("Clock", None, "new alarm"))

    def follow(now):
        if now["screen"] != "NewAlarm":
            return walk(now)
        if now["chosen"]["hour"] != hour:
            return "tap", f"hour {hour:02d}"
        return ("tap", f"minute {minute:02d}") if now["chosen"]["minute"] != minute else ("tap", "Save")

    return said, until(lambda data: any(one["time"] == time for one in data["alarms"]), follow)


def timer(rng, state, wanted):
    wanted["timer"] = minutes = rng.choice(state["look"]["timers"])
    said = rng.choice(("Start a timer of {} minutes", "Set a {} minute timer", "Start the timer for {} minutes")).format(minutes)

    def follow(now):
        if now["screen"] != "Clock":
            return enter("Clock", now)
        if now["of"] != "Timer":
            return "tap", "tab Timer"
        if now["data"]["timer"]:
            return "tap", "Cancel"
        return ("tap", "Start") if now["chosen"]["timer"] == minutes else ("tap", f"{minutes} min")

    return said, until(lambda data: data["timer"] == minutes, follow)


# --- shop -----------------------------------------------------------------------------------------------------------


def _adding(name: str, count: int) -> Callable[[dict], Move]:
    """Put so many of a product into the cart."""
    walk = path("Shop", ("Shop", None, name))

    def follow(state: dict) -> Move:
        if (state["screen"], state["of"]) != ("Product", name):
            return walk(state)
        chosen = state["chosen"]["count"]
        return "tap", "plus" if chosen < count else "minus" if chosen > count else "Add to cart"

    return follow


def cart(rng, state, wanted):
    name, count = rng.choice(state["look"]["goods"])["name"], rng.choice((1, 2, 3))
    wanted["cart"] = [{"name": name, "count": count}]
    said = rng.choice(("Put {} x {} into the cart", "Add {} x {} to the cart")).format(count, name)
    return said, until(lambda data: wanted["cart"] == data["cart"], _adding(name, count))


def buy(rng, state, wanted):
    name = rng.choice(state["look"]["goods"])["name"]
    wanted["orders"] = [[{"name": name, "count": 1}]]
    said = rng.choice(("Buy the {}", "Order the {} in the shop", "Order one {}")).format(name.lower())
    add = _adding(name, 1)

    def follow(now):
        if not now["data"]["cart"]:
            return add(now)
        if now["screen"] == "Cart":
            return "tap", "Place order"
        return ("tap", "Cart") if now["screen"] in ("Shop", "Product") else enter("Shop", now)

    return said, until(lambda data: bool(data["orders"]), follow)


def price(rng, state, wanted):
    article = rng.choice(state["look"]["goods"])
    name, answer = article["name"], f"${article['price']:.2f}"
    said = rng.choice(("What does the {} cost?", "How much is the {}?", "What is the price of the {}?")).format(name.lower())
    walk = path("Shop", ("Shop", None, name))
    return said, lambda now: ("answer", answer) if (now["screen"], now["of"]) == ("Product", name) else walk(now), answer


# --- notes, weather -------------------------------------------------------------------------------------------------


def new_note(rng, state, wanted):
    text = words(rng, _REMEMBER)
    wanted["notes"].insert(0, {"title": text, "body": ""})
    said = rng.choice(('Make a note: "{}"', 'Write the note "{}"', 'Note down "{}"')).format(text)
    write, walk = writing("title", text, "Save"), path("Notes", ("Notes", None, "new note"))

    def follow(now):
        return write(now) if now["screen"] == "NewNote" else walk(now)

    return said, until(lambda data: any(note["title"] == text for note in data["notes"]), follow)


def delete_note(rng, state, wanted):
    title = rng.choice(wanted["notes"])["title"]
    wanted["notes"] = [note for note in wanted["notes"] if note["title"] != title]
    said = rng.choice(('Delete the note "{}"', 'Remove the note "{}"')).format(title)
    return said, until(lambda data: all(note["title"] != title for note in data["notes"]), _menu("Notes", title, "Delete"))


def tick(rng, state, wanted):
    note = next(note for note in wanted["notes"] if "items" in note)
    item = rng.choice([item for item in note["items"] if not item["done"]] or note["items"])
    item["done"] = not item["done"]
    title, text, done = note["title"], item["text"], item["done"]
    said = rng.choice(('{} {} in the note "{}"', '{} {} on the list "{}"')).format(
        "Tick" if done else "Untick", text.lower(), title
    )

    def reached(data):
        items = [item for note in data["notes"] if note["title"] == title for item in note["items"]]
        return {"text": text, "done": done} in items

    return said, until(reached, path("Notes", ("Note", title, f"item {text}"), ("Notes", None, title)))


def forecast(rng, state, wanted):
    day = rng.choice(state["look"]["week"][1:])
    key, said = rng.choice((("sky", "What will the weather be on {}?"), ("high", "How warm will it get on {}?")))
    answer = day["sky"] if key == "sky" else f"{day['high']}°"
    return (
        said.format(day["day"]),
        lambda now: ("answer", answer) if now["screen"] == "Weather" else enter("Weather", now),
        answer,
    )


GOALS = {kind.__name__: kind for kind in (
    switch, theme, text_size, ringtone, sound, about, send, read, delete_chat, pin_chat, alarm, new_alarm, timer, cart, buy,
    price, new_note, delete_note, tick, forecast,
)}  # fmt: skip
