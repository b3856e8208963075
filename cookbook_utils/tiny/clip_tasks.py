"""Questions over clips, in the wordings that the real Qwen3-VL understands, and their exact answers.

Each task takes a clip and a random generator and returns a `Turn`, or None where the clip does not allow the question.
Times are whole seconds from the start, written as in the published prompts: `2.0 - 4.0 seconds`, `00:02 - 00:04`, in
JSON `"00:02.00"`; `parse_events` reads all of them (a bare range as `[{"time": ANSWER}]`). Events come in the order of
time, things that are there at once from left to right. While an answer speaks of a moment, it is shown the thing or the
caption in that second; of an end, in the last second before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from .artwork import things
from .clip_parts import PLURAL, Event, with_article
from .clips import Clip
from .samples import Region
from .turns import NOWHERE, Turn, drawn, fenced, pick, shown_by_part

NO_CAPTION = "No caption"
NOTHING_SEEN = "Nothing"
ORDINALS = ("first", "second", "third", "fourth")


# --- times, and where to look for them -------------------------------------------------------


def clock(seconds: float) -> str:
    """A time as 'mm:ss.ff'; its first five characters are 'mm:ss'.

    >>> clock(62)
    '01:02.00'
    """
    return f"{int(seconds) // 60:02d}:{seconds % 60:05.2f}"


def span(event: Event, form: str) -> str:
    """When an event is, as an answer writes it; form: "seconds" or "mm:ss".

    >>> span(Event("grow", 2, 4, 0), "seconds"), span(Event("grow", 2, 4, 0), "mm:ss")
    ('2.0 - 4.0 seconds', '00:02 - 00:04')
    """
    if form == "seconds":
        return f"{event.start:.1f} - {event.end:.1f} seconds"
    return f"{clock(event.start)[:5]} - {clock(event.end)[:5]}"


def start_of(clip: Clip, event: Event) -> Region | None:
    """Where an event begins."""
    return clip.spot(event.who, event.start)


def end_of(clip: Clip, event: Event) -> Region | None:
    """Where an event is in its last second."""
    return clip.spot(event.who, event.end - 1)


def subject_of(clip: Clip, event: Event) -> Region | None:
    """Where the thing is that an event tells of: before a change or a disappearance, in it otherwise."""
    return clip.spot(event.who, event.start - 1 if event.kind in ("change", "disappear") else event.end - 1)


def course(clip: Clip, event: Event) -> list[Region]:
    """Where an event is, second by second."""
    return list({id(region): region for s in range(event.start, event.end) if (region := clip.spot(event.who, s))}.values())


def telling(clip: Clip, event: Event, sentence: str, at: int) -> list[tuple[int, object]]:
    """`shown` of a sentence that starts at a character: its subject, the letters of a caption, what a thing changes into."""
    shown = [(at, subject_of(clip, event))]
    if event.kind == "caption" and event.text in sentence:
        shown += reading(clip, event.who, event.start, event.text, at + sentence.index(event.text))
        shown.append((at + sentence.index(event.text) + len(event.text), subject_of(clip, event)))
    elif event.kind == "change":
        new = things()[event.other]
        shown.append((at + max(sentence.rfind(new.name), sentence.rfind(new.name_zh)), start_of(clip, event)))
    return shown


def reading(clip: Clip, who: int, second: int, text: str, at: int) -> list[tuple[int, object]]:
    """`shown` of a caption's text that starts at a character: its letters one by one."""
    letters = iter(clip.written[who, second])
    return [(at + index, next(letters)) for index, character in enumerate(text) if character != " "]


def said(task: str, prompt: str, answer: str, mentions=None, shown=None, **expect) -> Turn:
    """A turn answered with a word, a number, a time or a name."""
    return Turn(task, prompt, answer, {"answer": answer, **expect}, mentions or [], shown or [])


def query(event: Event) -> str:
    """An event as a question names it."""
    return event.sentence[0].lower() + event.sentence[1:-1]


def only(clip: Clip, rng, allowed=lambda event: True) -> Event | None:
    """One event that no other is told like."""
    told = [event.sentence for event in clip.events]
    events = [event for event in clip.events if told.count(event.sentence) == 1 and allowed(event)]
    return pick(rng, events) if events else None


def absent_thing(clip: Clip, rng) -> int:
    """A thing that is never there, half of the time of a category that is."""
    here = {look.thing for actor in clip.actors for s in actor.stretches for look in (s.first, s.last)}
    categories = {things()[thing].category for thing in here}
    away = [thing.index for thing in things() if thing.index not in here]
    near = [thing for thing in away if things()[thing].category in categories]
    return pick(rng, near) if near and rng.random() < 0.5 else pick(rng, away)


# --- what happens ----------------------------------------------------------------------------

SERIES = "Localize a series of activity events in the video, output the start and end timestamp for each event, and describe each event with sentences."
EVENTS_AS_JSON = (
    SERIES + " Provide the result in json format with 'mm:ss.ff' format for time depiction.",
    SERIES + " Provide the result in json format with 'mm:ss.ff' format for time depiction.",
    "List the events in the video with their start and end time as JSON, times in 'mm:ss.ff' format.",
    "Detect all events in the video. Output a JSON list with the keys start, end and description, times as 'mm:ss.ff'.",
    "定位视频中的一系列事件，输出每个事件的起止时间戳，并用英文句子描述。以JSON格式返回，时间用'mm:ss.ff'格式。",
)
EVENTS_IN_SECONDS = (
    SERIES + " Provide the result in json format with seconds for time depiction.",
    "List the events in the video as JSON with the keys start, end and description, times in seconds.",
)
DESCRIBE = (
    "Describe this video.",
    "Describe what happens in the video.",
    "What happens in the video? Tell it event by event.",
    "Could you go into detail about the content of this video?",
)
WHEN = (
    "Give the query: '{}', when does the described content occur in the video?",
    "When does this happen in the video: '{}'?",
    "Find the start and end time of the event '{}'.",
)
IN_SECONDS = ("Use seconds for time format.", "Answer with the start and end in seconds.", "Use 'seconds' as time format.")
IN_CLOCK = ("Use 'mm:ss' for time format.", "Answer with the start and end as mm:ss.", "Use 'mm:ss' as time format.")


def events_json(clip: Clip, rng) -> Turn:
    seconds = rng.random() < 0.25
    prompt = pick(rng, EVENTS_IN_SECONDS if seconds else EVENTS_AS_JSON)
    times = [(float(e.start), float(e.end)) if seconds else (clock(e.start), clock(e.end)) for e in clip.events]
    items = [{"start": a, "end": b, "description": e.sentence} for (a, b), e in zip(times, clip.events, strict=True)]
    answer, shown, at = fenced(items), [], 0
    for item, event in zip(items, clip.events, strict=True):
        shown.append((at, start_of(clip, event)))
        at = answer.index(json.dumps(item), at)
        shown.append((answer.index('"end"', at), end_of(clip, event)))
        shown += telling(clip, event, event.sentence, answer.index(event.sentence, at))
        at = answer.index("}", at)
    return Turn("events_json", prompt, answer, {"events": clip.truth()["events"]}, [], [*shown, (at + 1, NOWHERE)])


def tell_all(task: str, clip: Clip, prompt: str, sentences: list[str], separator: str) -> Turn:
    """A turn that tells all events one after the other."""
    shown, at = [], 0
    for event, sentence in zip(clip.events, sentences, strict=True):
        shown += telling(clip, event, sentence, at)
        at += len(sentence) + len(separator)
    return said(task, prompt, separator.join(sentences), [], [*shown, (at - len(separator), NOWHERE)])


def describe(clip: Clip, rng) -> Turn:
    return tell_all("describe", clip, pick(rng, DESCRIBE), [event.sentence for event in clip.events], " ")


def describe_zh(clip: Clip, rng) -> Turn:
    prompt = pick(rng, ("请描述这个视频。", "视频里发生了什么？请按时间顺序描述。"))
    return tell_all("describe_zh", clip, prompt, [event.sentence_zh for event in clip.events], "")


def when(clip: Clip, rng) -> Turn | None:
    event = only(clip, rng)
    return event and when_of("when", clip, rng, event, pick(rng, WHEN).format(query(event)), query(event))


def when_of(task: str, clip: Clip, rng, event: Event, asked: str, phrase: str) -> Turn:
    """A turn answered with the time of an event."""
    form = pick(rng, ("seconds", "seconds", "mm:ss"))
    answer = span(event, form)
    middle = answer.index(" - ")
    shown = [(0, start_of(clip, event)), (middle, end_of(clip, event)), (len(answer.removesuffix(" seconds")), NOWHERE)]
    prompt = f"{asked} {pick(rng, IN_SECONDS if form == 'seconds' else IN_CLOCK)}"
    return said(task, prompt, answer, [(phrase, course(clip, event))], shown, start=float(event.start), end=float(event.end))


def order(clip: Clip, rng) -> Turn | None:
    """Which of two events happens first, or last."""
    first, second = only(clip, rng), only(clip, rng)
    if first is None or second is None or first is second:
        return None
    word = pick(rng, ("first", "last"))
    right = "A" if (first.start < second.start) == (word == "first") else "B"
    options = {"A": f"A. {first.sentence}", "B": f"B. {second.sentence}"}
    prompt = f"Which happens {word}?\n{options['A']}\n{options['B']}\nAnswer with the letter."
    mentions = [(first.sentence, course(clip, first)), (second.sentence, course(clip, second))]
    return said("order", prompt, right, mentions, shown=[(0, options[right])])


def told(task: str, clip: Clip, prompt: str, event: Event, mentions=None) -> Turn:
    """A turn answered with one event's sentence."""
    return said(
        task, prompt, event.sentence, mentions, [*telling(clip, event, event.sentence, 0), (len(event.sentence), NOWHERE)]
    )


def nth_event(clip: Clip, rng) -> Turn:
    """What happens first, second, ... or last."""
    index = int(rng.integers(len(clip.events)))
    word = "last" if index == len(clip.events) - 1 and rng.random() < 0.6 else ORDINALS[index]
    prompt = pick(rng, ("What happens {} in the video?", "Which event comes {}? Answer with one sentence.")).format(word)
    return told("nth_event", clip, prompt, clip.events[index])


def next_event(clip: Clip, rng) -> Turn | None:
    """What happens after, or before, an event."""
    event = only(clip, rng)
    index, step = (clip.events.index(event), pick(rng, (-1, 1))) if event else (0, -1)
    if not 0 <= index + step < len(clip.events):
        return None
    prompt = f"What happens right {'after' if step == 1 else 'before'} this: '{query(event)}'? Answer with one sentence."
    return told("next_event", clip, prompt, clip.events[index + step], [(query(event), course(clip, event))])


# --- captions --------------------------------------------------------------------------------


def at_time(second: int, rng) -> tuple[str, str]:
    """A moment in words, and the part of it that is the time."""
    time = pick(rng, (f"{second:.1f} seconds", f"{second} s", clock(second)[:5]))
    return f"at {time}", time


def caption_at(clip: Clip, rng) -> Turn | None:
    if not clip.captions and rng.random() < 0.85:
        return None
    second = int(rng.integers(clip.seconds))
    if clip.captions and rng.random() < 0.7:
        second = int(rng.integers((one := pick(rng, clip.captions)).start, one.end))
    who = next((len(clip.actors) + i for i, c in enumerate(clip.captions) if c.start <= second < c.end), None)
    asked, time = at_time(second, rng)
    wording = pick(
        rng, ("What does the caption say {}?", "Read the caption {}.", "What text is shown {}?", "视频{}时的字幕是什么？")
    )
    prompt = wording.format(time if wording[0] == "视" else asked) + f" If there is none, answer '{NO_CAPTION}'."
    mentions = [(time, clip.spots_at(second))]
    if who is None:
        return said("caption_at", prompt, NO_CAPTION, mentions, [(0, NOWHERE)])
    text = clip.cast[who].text
    return said("caption_at", prompt, text, mentions, [*reading(clip, who, second, text, 0), (len(text), NOWHERE)])


def read_all(clip: Clip, rng) -> Turn | None:
    if not clip.captions:
        return None
    wording = ("Read all the text in the video.", "What text appears? One caption per line.", "读出视频中出现的所有文字。")
    answer, shown = "\n".join(caption.text for caption in clip.captions), []
    for index, caption in enumerate(clip.captions):
        before = sum(len(other.text) + 1 for other in clip.captions[:index])
        shown += reading(clip, len(clip.actors) + index, caption.start, caption.text, before)
    return said("read_all", pick(rng, wording), answer, [], [*shown, (len(answer), NOWHERE)])


def caption_when(clip: Clip, rng) -> Turn | None:
    event = only(clip, rng, lambda event: event.kind == "caption")
    wording = pick(
        rng, ("When is the caption '{}' shown?", "From when to when can one read '{}'?", "When is the text '{}' seen?")
    )
    return event and when_of("caption_when", clip, rng, event, wording.format(event.text), f"'{event.text}'")


# --- things ----------------------------------------------------------------------------------


def box_at(clip: Clip, rng) -> Turn | None:
    """Boxes of a thing at given times; where it is not there, no box."""
    kinds = clip.things_seen
    if not kinds:
        return None
    thing = pick(rng, kinds)
    seconds = sorted(rng.choice(clip.seconds, min(int(rng.integers(1, 4)), clip.seconds), replace=False).tolist())
    times = ", ".join(f"{second:.1f}" for second in seconds)
    wording = (
        "Locate the {} at {} seconds. Output a JSON list with time, bbox_2d and label.",
        "Where is the {} at {} seconds? Report time, bbox_2d and label in JSON format.",
        "Give the bounding box of the {} at {} seconds, as JSON with the keys time, bbox_2d and label.",
    )
    return boxes_of("box_at", clip, thing, seconds, pick(rng, wording).format(things()[thing].name, times))


TRACK = (
    "Given the query \"the {}\", for each second, detect and localize the visual content described by the given textual query "
    "in JSON format. If the visual content does not exist in a frame, skip that frame. Output Format: "
    '[{{"time": 1.0, "bbox_2d": [x_min, y_min, x_max, y_max], "label": ""}}, ...].'
)  # fmt: skip


def track(clip: Clip, rng) -> Turn | None:
    """Boxes of a thing once a second."""
    kinds = clip.things_seen
    if not kinds or clip.seconds > 5:
        return None
    thing = pick(rng, kinds)
    return boxes_of("track", clip, thing, list(range(clip.seconds)), TRACK.format(things()[thing].name))


def boxes_of(task: str, clip: Clip, thing: int, seconds: list[int], prompt: str) -> Turn:
    """A turn answered with the boxes of a thing at some times."""
    name = things()[thing].name
    items = [item for second in seconds for item in clip.boxes(second) if item["label"] == name]
    answer, shown, at = fenced(items), [], 0
    for item in items:
        who = next(who for who, one, _ in clip.seen(item["time"]) if one == thing)
        shown.append((at, clip.spot(who, int(item["time"]))))
        at = answer.index(json.dumps(item), at) + len(json.dumps(item))
    mentions = [(f"the {name}", [region for s in seconds for region in clip.spots_at(s) if region.kind == name])]
    return Turn(task, prompt, answer, {"boxes": items, "times": seconds}, mentions, [*shown, (at, NOWHERE)])


def names_at(clip: Clip, rng) -> Turn | None:
    second = int(rng.integers(clip.seconds))
    here = clip.seen(second + 0.25)
    asked, time = at_time(second, rng)
    if any([one[:2] for one in clip.seen(second + part)] != [one[:2] for one in here] for part in (0, 0.5, 0.75)):
        return None  # something is just coming or going
    answer = ", ".join(things()[thing].name for _, thing, _ in here) or NOTHING_SEEN
    wording = ("What is in the video {}? List the objects from left to right.", "Name every object {}, from left to right.")
    spots = [clip.spots[who, second] for who, _, _ in here]
    shown = shown_by_part(answer, spots, ", ") if spots else [(0, NOWHERE)]
    prompt = pick(rng, wording).format(asked) + f" If there is none, answer '{NOTHING_SEEN}'."
    return said("names_at", prompt, answer, [(time, clip.spots_at(second))], shown)


def count(clip: Clip, rng) -> Turn:
    kinds = clip.things_seen
    if rng.random() < 0.6:
        noun = pick(rng, ("different objects", "different things"))
        prompt = f"How many {noun} appear in the video? Answer with a number."
        return said("count", prompt, str(len(kinds)), [(noun, [clip.spots_of(kind)[0] for kind in kinds])])
    kind = pick(rng, ("enter", "leave"))
    side = pick(rng, [e.side for e in clip.events if e.kind == kind] or ["left"])
    example = Event(kind, 0, 1, 0, thing=0, side=side).doing.replace(kind + "s", kind)
    events = [event for event in clip.events if event.kind == kind and event.side == side]
    prompt = f"How many times does something {example} in the video? Answer with a number."
    return said("count", prompt, str(len(events)), [(example, [region for e in events for region in course(clip, e)[-1:]])])


def presence(clip: Clip, rng) -> Turn:
    kinds = clip.things_seen
    here = bool(kinds) and rng.random() < 0.5
    thing = pick(rng, kinds) if here else absent_thing(clip, rng)
    kind, spots = things()[thing], clip.spots_of(thing)
    if rng.random() < 0.2:
        return said("presence", f"视频中出现过{kind.name_zh}吗？请回答是或否。", "是" if here else "否", [(kind.name_zh, spots)])
    many, phrase = kind.name in PLURAL, with_article(kind.name)
    asked = f"{'Do' if many else 'Does'} {phrase} appear" if rng.random() < 0.5 else f"{'Are' if many else 'Is'} there {phrase}"
    return said("presence", f"{asked} in the video? Answer yes or no.", "Yes" if here else "No", [(phrase, spots)])


def heading(event: Event) -> str:
    """Where a thing is heading while it enters, leaves or moves."""
    back = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    return back[event.side] if event.kind == "enter" else event.side


def happens(clip: Clip, rng) -> Turn | None:
    """Whether an event happens: a true one, or one with another side, another verb or another thing."""
    event = only(clip, rng, lambda event: event.thing is not None and event.kind != "change")
    if event is None:
        return None
    asked = event
    if rng.random() < 0.5:
        absent = rng.random() < 0.3
        kinds = ("enter", "leave", "move", "grow", "shrink", "turn", *(("appear", "disappear") if absent else ()))
        thing, side = absent_thing(clip, rng) if absent else event.thing, pick(rng, ("left", "right", "top", "bottom"))
        asked = Event(pick(rng, kinds), event.start, event.end, event.who, thing=thing, side=side)
    true = [one for one in clip.events if one.sentence == asked.sentence]
    if not true and asked.kind == "move" and asked.side in [heading(one) for one in clip.events if one.thing == asked.thing]:
        return None  # it does move so while it enters or leaves
    regions = course(clip, true[0]) if true else clip.spots_of(asked.thing)
    prompt = f"Is this true of the video: '{query(asked)}'? Answer yes or no."
    return said("happens", prompt, "Yes" if true else "No", [(query(asked), regions)])


def change(clip: Clip, rng) -> Turn | None:
    """What changes into what."""
    events = [event for event in clip.events if event.kind == "change"]
    event = pick(rng, events) if events else None
    if event is None:
        return None
    old, new = things()[event.thing].name, things()[event.other].name
    before, after = subject_of(clip, event), start_of(clip, event)
    if rng.random() < 0.5:
        prompt = f"What {'do' if old in PLURAL else 'does'} the {old} change into? Answer with its name."
        return said("change", prompt, new, [(f"the {old}", [before])], [(0, after), (len(new), NOWHERE)])
    if len(events) > 1:
        return None
    answer, shown = f"{old} -> {new}", [(0, before), (len(old), after), (len(old) + 4 + len(new), NOWHERE)]
    return said("change", "What changes into what in the video? Answer in the form: name -> name.", answer, [], shown)


def who(clip: Clip, rng) -> Turn | None:
    """The name of the thing that does something."""
    event = only(clip, rng, lambda event: event.kind not in ("caption", "appear") and event.name not in PLURAL)
    alike = [e for e in clip.events if event and bool(e.side) == bool(event.side) and (e.side or e.kind == event.kind)]
    alike = [e for e in alike if heading(e) == heading(event)]
    if event is None or len(alike) > 1:
        return None
    asked = f"{event.doing.split(' into ')[0]} into something" if event.kind == "change" else event.doing
    shown = [(0, subject_of(clip, event)), (len(event.name), NOWHERE)]
    prompt = f"What {asked} in the video? Answer with its name."
    return said("who", prompt, event.name, [(asked, course(clip, event))], shown)


def side(clip: Clip, rng) -> Turn | None:
    """From where, to where."""
    event = only(clip, rng, lambda event: bool(event.side))
    goes = [e.kind for e in clip.events if event and e.side and e.thing == event.thing]
    if event is None or goes.count(event.kind) > 1 or (event.kind == "move" and len(goes) > 1):
        return None
    wording = {
        "enter": "From which side {} the {} enter? Answer left, right, top or bottom.",
        "leave": "On which side {} the {} leave? Answer left, right, top or bottom.",
        "move": "In which direction {} the {} move? Answer left, right, up or down.",
    }[event.kind]
    answer = {"top": "up", "bottom": "down"}.get(event.side, event.side) if event.kind == "move" else event.side
    prompt = wording.format("do" if event.name in PLURAL else "does", event.name)
    return said("side", prompt, answer, [(f"the {event.name}", course(clip, event))])


TASKS: dict[Callable, float] = {
    events_json: 4, describe: 2, describe_zh: 0.5, when: 4, order: 1.5, nth_event: 1, next_event: 1, caption_at: 2.5,
    read_all: 1.5, caption_when: 1, box_at: 3, track: 1, names_at: 2, count: 1.5, presence: 2, happens: 2, change: 1.5,
    who: 1.5, side: 1.5,
}  # fmt: skip


def ask(clip: Clip, rng: np.random.Generator, task: Callable | None = None) -> Turn | None:
    """One turn over a clip: the given task (None where the clip does not allow it), or one drawn by its weight."""
    return drawn(TASKS, clip, rng, task)
