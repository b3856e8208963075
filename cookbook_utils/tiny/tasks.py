"""Questions over picture scenes, in the wordings that the real Qwen3-VL understands, and their exact answers.

Each task takes a scene and a random generator and returns a `Turn`, or None where the scene does not
allow the question. Coordinates in answers are integers on the 0-1000 grid; lists run from left to
right by left edge; JSON comes in a ```json fence, an absent thing is answered with an empty list.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from ..coordinates import to_grid
from .artwork import CATEGORY_PLURAL, CATEGORY_ZH, things
from .scenes import Placed, Scene
from .turns import Turn, fenced, pick, shown_by_line, shown_by_part


def grid_box(placed: Placed, size: tuple[int, int]) -> list[int]:
    """The box of a thing on the 0-1000 grid."""
    return to_grid(placed.box_xyxy, size).tolist()


def grid_point(placed: Placed, size: tuple[int, int]) -> list[int]:
    """The centre of a thing's box on the 0-1000 grid."""
    x1, y1, x2, y2 = grid_box(placed, size)
    return [(x1 + x2) // 2, (y1 + y2) // 2]


def listed(task: str, prompt: str, items: list[dict], placed: list[Placed], mentions: list | None = None) -> Turn:
    """A turn answered with one fenced item for each of the things."""
    answer = fenced(items)
    shown = shown_by_line(answer, placed) if placed else [(0, None)]
    return Turn(task, prompt, answer, {"placed": placed}, mentions or [], shown)


def boxes(task: str, scene: Scene, prompt: str, chosen: list[Placed], label: Callable[[Placed], str], mentions=None) -> Turn:
    """A turn answered with the boxes of the chosen things."""
    items = [{"bbox_2d": grid_box(p, scene.size), "label": label(p)} for p in chosen]
    return listed(task, prompt, items, chosen, mentions)


def said(task: str, prompt: str, answer: str, mentions=None, shown: Placed | None = None) -> Turn:
    """A turn answered with a word, a number or a name; `shown` is the one thing that the answer names."""
    speaks = [(0, shown)] if shown else []
    return Turn(task, prompt, answer, {"answer": answer}, mentions or [], speaks)


def described_mentions(scene: Scene, phrase: str, found: Placed) -> list:
    """The phrase, and the neighbour that it names."""
    anchor = phrase.partition(" next to the ")[2]
    return [(phrase, [found])] + ([(anchor, [p for p in scene.placed if p.name == anchor])] if anchor else [])


def english(placed: Placed) -> str:
    return placed.name


def chinese(placed: Placed) -> str:
    return things()[placed.thing].name_zh


def absent_kind(scene: Scene, rng: np.random.Generator):
    """A thing that is not in the scene, half of the time of a category that is."""
    inside = {p.thing for p in scene.placed}
    categories = {p.category for p in scene.placed}
    near = [t for t in things() if t.index not in inside and t.category in categories]
    return pick(rng, near) if near and rng.random() < 0.5 else pick(rng, [t for t in things() if t.index not in inside])


# --- locating --------------------------------------------------------------------------------

IN_JSON = (
    "Report bbox coordinates in JSON format.",
    "Output the bounding boxes in JSON format.",
    "Output all the bbox coordinates in JSON format.",
    "Return the bounding boxes and labels as JSON.",
    "Give the result as JSON with bbox_2d and label.",
)
LOCATE_ALL = (
    "Locate every object in the image.",
    "Detect all objects in the image.",
    "Locate all objects in this image.",
    "Find all the objects in the picture.",
    "Outline the position of each object.",
    "Where are the objects in this image?",
)
LOCATE_ALL_ZH = (
    "检测图中所有物体，以JSON格式输出边界框坐标和标签。",
    "定位图中的每个物体，以JSON格式输出bbox坐标。",
    "找出图片中的所有物体，用JSON格式返回。",
)
LOCATE_NAME = (
    "Locate every {} in the image.",
    "Locate the {} in the image.",
    "Detect every {}.",
    "Find the {}.",
    "Find all instances of {}.",
    "Where is the {}?",
)


def locate_all(scene: Scene, rng) -> Turn:
    prompt = pick(rng, LOCATE_ALL) + " " + pick(rng, IN_JSON)
    return boxes("locate_all", scene, prompt, scene.placed, english)


def locate_all_zh(scene: Scene, rng) -> Turn:
    return boxes("locate_all_zh", scene, pick(rng, LOCATE_ALL_ZH), scene.placed, chinese)


def locate_name(scene: Scene, rng) -> Turn:
    kind = things()[pick(rng, scene.placed).thing]
    found = [p for p in scene.placed if p.thing == kind.index]
    prompt = pick(rng, LOCATE_NAME).format(kind.name) + " " + pick(rng, IN_JSON)
    return boxes("locate_name", scene, prompt, found, english, [(kind.name, found)])


def locate_name_zh(scene: Scene, rng) -> Turn:
    kind = things()[pick(rng, scene.placed).thing]
    found = [p for p in scene.placed if p.thing == kind.index]
    prompt = pick(rng, ("定位图中的{}，以JSON格式输出bbox坐标。", "找出图中所有的{}，用JSON格式返回边界框。")).format(kind.name_zh)
    return boxes("locate_name_zh", scene, prompt, found, chinese, [(kind.name_zh, found)])


def locate_absent(scene: Scene, rng) -> Turn:
    kind = absent_kind(scene, rng)
    if rng.random() < 0.75:
        name, prompt = kind.name, pick(rng, LOCATE_NAME).format(kind.name) + " " + pick(rng, IN_JSON)
    else:
        name, prompt = kind.name_zh, f"定位图中的{kind.name_zh}，以JSON格式输出bbox坐标。"
    return boxes("locate_absent", scene, prompt, [], english, [(name, [])])


def locate_names(scene: Scene, rng) -> Turn:
    """Several names in one request, some of them absent."""
    names = sorted(sorted({p.name for p in scene.placed}), key=lambda _: rng.random())[: int(rng.integers(1, 4))]
    names += [absent_kind(scene, rng).name for _ in range(int(rng.integers(0, 3)))]
    names = sorted(sorted(set(names)), key=lambda _: rng.random())
    found = [p for p in scene.placed if p.name in names]
    wording = (
        "Locate every instance that belongs to the following categories: {}.",
        "Detect the following objects: {}.",
        "Find all instances of: {}.",
    )
    quoted = pick(rng, ("{}", '"{}"')).format(", ".join(names))
    prompt = pick(rng, wording).format(quoted) + " " + pick(rng, IN_JSON)
    return boxes("locate_names", scene, prompt, found, english, [(n, [p for p in found if p.name == n]) for n in names])


def locate_category(scene: Scene, rng) -> Turn:
    absent = rng.random() < 0.2
    here = {p.category for p in scene.placed}
    category = pick(rng, sorted(set(CATEGORY_PLURAL) - here)) if absent else pick(rng, sorted(here))
    found = [p for p in scene.placed if p.category == category]
    if rng.random() < 0.15:
        noun = CATEGORY_ZH[category]
        return boxes("locate_category_zh", scene, f"找出图中所有的{noun}，用JSON格式返回边界框。", found, chinese, [(noun, found)])
    noun = CATEGORY_PLURAL[category]
    wording = ("Locate all the {} in the image.", "Detect all {}.", "Find all the {} in the picture.", "Where are the {}?")
    prompt = pick(rng, wording).format(noun) + " " + pick(rng, IN_JSON)
    return boxes("locate_category", scene, prompt, found, english, [(noun, found)])


def describe_one(scene: Scene, rng) -> tuple[str, Placed] | None:
    """A phrase that picks out exactly one thing, by size, position or neighbour, and that thing."""
    group, noun = scene.placed, pick(rng, ("object", "thing"))
    categories = [c for c in {p.category for p in group} if sum(p.category == c for p in group) > 1]
    if categories and rng.random() < 0.3:
        noun = pick(rng, sorted(categories))
        group = [p for p in group if p.category == noun]
    elif rng.random() < 0.3:
        names = sorted({p.name for p in group if sum(q.thing == p.thing for q in group) > 1})
        noun = pick(rng, names) if names else noun
        group = [p for p in group if p.name == noun] if names else group
    if len(group) < 2:
        return None
    return pick(rng, (by_position, by_position, by_size, by_rank, by_neighbour))(scene, rng, group, noun)


def clear_extreme(group: list[Placed], value: Callable[[Placed], float], margin: float) -> Placed | None:
    """The one with the largest value, if it leads by more than `margin`."""
    ordered = sorted(group, key=value, reverse=True)
    return ordered[0] if value(ordered[0]) - value(ordered[1]) > margin else None


def centre(placed: Placed) -> tuple[float, float]:
    x1, y1, x2, y2 = placed.box_xyxy
    return (x1 + x2) / 2, (y1 + y2) / 2


def area(placed: Placed) -> float:
    x1, y1, x2, y2 = placed.box_xyxy
    return (x2 - x1) * (y2 - y1)


def by_position(scene, rng, group, noun):
    word, axis, sign = pick(rng, (("leftmost", 0, -1), ("rightmost", 0, 1), ("topmost", 1, -1), ("bottommost", 1, 1)))
    found = clear_extreme(group, lambda p: sign * centre(p)[axis] / scene.size[axis], 0.03)
    return found and (f"the {word} {noun}", found)


def by_size(scene, rng, group, noun):
    word, sign = pick(rng, (("largest", 1), ("biggest", 1), ("smallest", -1)))
    found = clear_extreme(group, lambda p: sign * np.log(area(p)), 0.2)
    return found and (f"the {word} {noun}", found)


def by_rank(scene, rng, group, noun):
    if len(group) < 3:
        return None
    ordered = sorted(group, key=lambda p: centre(p)[0])
    gaps = np.diff([centre(p)[0] for p in ordered]) / scene.size[0]
    word, index = pick(rng, (("second", 1), ("third", 2)))
    side = pick(rng, ("left", "right"))
    found = ordered[index] if side == "left" else ordered[-1 - index]
    return (f"the {word} {noun} from the {side}", found) if gaps.min() > 0.03 else None


def by_neighbour(scene, rng, group, noun):
    unique = [p for p in scene.placed if sum(q.thing == p.thing for q in scene.placed) == 1]
    if noun not in ("object", "thing") or not unique:
        return None
    anchor = pick(rng, unique)
    others = [p for p in scene.placed if p is not anchor]
    away = {id(p): float(np.hypot(*np.subtract(centre(p), centre(anchor)))) / max(scene.size) for p in others}
    if len(others) == 1:
        return f"the {noun} next to the {anchor.name}", others[0]
    found = clear_extreme(others, lambda p: -away[id(p)], 0.06)
    return found and (f"the {noun} next to the {anchor.name}", found)


def locate_described(scene: Scene, rng) -> Turn | None:
    described = describe_one(scene, rng)
    if not described:
        return None
    phrase, found = described
    mentions = described_mentions(scene, phrase, found)
    if rng.random() < 0.25:
        prompt = pick(rng, ("Point to {}. Report point coordinates in JSON format.", "Point to {}. Output its point_2d in JSON format."))
        item = {"point_2d": grid_point(found, scene.size), "label": found.name}
        return listed("point_described", prompt.format(phrase), [item], [found], mentions)
    prompt = pick(rng, ("Locate {}.", "Find {}.", "Where is {}?")).format(phrase) + " " + pick(rng, IN_JSON)
    return boxes("locate_described", scene, prompt, [found], english, mentions)


def name_described(scene: Scene, rng) -> Turn | None:
    described = describe_one(scene, rng)
    if not described:
        return None
    phrase, found = described
    prompt = f"What is {phrase}? Answer with its name."
    return said("name_described", prompt, found.name, described_mentions(scene, phrase, found), found)


# --- points and other keys -------------------------------------------------------------------


def point(scene: Scene, rng) -> Turn:
    ending = pick(rng, ("Report point coordinates in JSON format.", "Output point_2d and label in JSON format."))
    if rng.random() < 0.4:
        found, start = scene.placed, pick(rng, ("Point to every object in the image.", "Locate every object with a point."))
        mentions = []
    else:
        kind = pick(rng, scene.placed).thing
        found = [p for p in scene.placed if p.thing == kind]
        start = pick(rng, ("Point to every {}.", "Point to the {}.", "Locate every {} with points.")).format(found[0].name)
        mentions = [(found[0].name, found)]
    items = [{"point_2d": grid_point(p, scene.size), "label": p.name} for p in found]
    return listed("point", f"{start} {ending}", items, found, mentions)


def other_keys(scene: Scene, rng) -> Turn:
    if rng.random() < 0.5:
        prompt = pick(rng, (
            "Locate every object and report its bbox_2d, name and category in JSON format.",
            "Detect all objects. Output a JSON list with the keys bbox_2d, name and category.",
        ))  # fmt: skip
        items = [{"bbox_2d": grid_box(p, scene.size), "name": p.name, "category": p.category} for p in scene.placed]
    else:
        prompt = pick(rng, (
            "Identify every object in the image, output its bbox_2d and its name in English (name_en) and Chinese (name_zh) in JSON format.",
            "Locate every object and give bbox_2d, name_en and name_zh as JSON.",
        ))  # fmt: skip
        items = [{"bbox_2d": grid_box(p, scene.size), "name_en": p.name, "name_zh": chinese(p)} for p in scene.placed]
    return listed("other_keys", prompt, items, scene.placed)


# --- counting, presence, naming --------------------------------------------------------------


def count(scene: Scene, rng) -> Turn:
    draw = rng.random()
    if draw < 0.25:
        noun, found = pick(rng, ("objects", "things")), scene.placed
    elif draw < 0.5:
        category = pick(rng, sorted({p.category for p in scene.placed}))
        noun, found = CATEGORY_PLURAL[category], [p for p in scene.placed if p.category == category]
    elif draw < 0.85:
        kind = pick(rng, scene.placed)
        noun, found = f"instances of {kind.name}", [p for p in scene.placed if p.thing == kind.thing]
    else:
        noun, found = f"instances of {absent_kind(scene, rng).name}", []
    wording = ("How many {} are there in the image? Answer with a number.", "Count the {} in the picture. Answer with a number.")
    return said("count", pick(rng, wording).format(noun), str(len(found)), [(noun, found)])


def count_zh(scene: Scene, rng) -> Turn:
    kind = pick(rng, scene.placed)
    found = [p for p in scene.placed if p.thing == kind.thing]
    return said("count_zh", f"图中有几个{chinese(kind)}？请用数字回答。", str(len(found)), [(chinese(kind), found)])


def presence(scene: Scene, rng) -> Turn:
    here = rng.random() < 0.5
    kind = things()[pick(rng, scene.placed).thing] if here else absent_kind(scene, rng)
    found = [p for p in scene.placed if p.thing == kind.index]
    if rng.random() < 0.2:
        return said("presence", f"图中有{kind.name_zh}吗？请回答是或否。", "是" if here else "否", [(kind.name_zh, found)])
    wording = ("Is there a {} in the image? Answer yes or no.", "Does the picture show a {}? Answer yes or no.")
    return said("presence", pick(rng, wording).format(kind.name), "Yes" if here else "No", [(kind.name, found)])


def name_all(scene: Scene, rng) -> Turn:
    if rng.random() < 0.2:
        prompt, name, separator = "图中有什么？请从左到右列出。", chinese, "、"
    else:
        wording = ("What is in the picture? List the objects from left to right.", "Name every object in the image, from left to right.")
        prompt, name, separator = pick(rng, wording), english, ", "
    answer = separator.join(name(p) for p in scene.placed)
    shown = shown_by_part(answer, scene.placed, separator)
    return Turn("name_all", prompt, answer, {"answer": answer}, [], shown)


def name_one(scene: Scene, rng) -> Turn | None:
    if len(scene.placed) != 1:
        return None
    found = scene.placed[0]
    prompt, answer = pick(rng, (
        ("What is shown in the image? Answer with its name.", found.name),
        ("What is this? Answer with one name.", found.name),
        ("What is shown in the image? Answer with name and category in JSON format.",
         "```json\n" + json.dumps({"name": found.name, "category": found.category}) + "\n```"),
        ("这是什么？请用中文回答名称。", chinese(found)),
    ))  # fmt: skip
    return said("name_one", prompt, answer, shown=found)


def name_box(scene: Scene, rng) -> Turn:
    found = pick(rng, scene.placed)
    box = json.dumps(grid_box(found, scene.size))
    if rng.random() < 0.2:
        return said("name_box", f"区域{box}里是什么？", chinese(found), [(box, [found])], found)
    wording = ("What is the object in the region {}? Answer with its name.", "Name the object inside the box {}.")
    return said("name_box", pick(rng, wording).format(box), found.name, [(box, [found])], found)


def relation(scene: Scene, rng) -> Turn | None:
    unique = [p for p in scene.placed if sum(q.thing == p.thing for q in scene.placed) == 1]
    if len(unique) < 2:
        return None
    first, second = (unique[int(i)] for i in rng.choice(len(unique), 2, replace=False))
    word, axis, sign = pick(rng, (("to the left of", 0, 1), ("to the right of", 0, -1), ("above", 1, 1), ("below", 1, -1)))
    lead = sign * (centre(second)[axis] - centre(first)[axis]) / scene.size[axis]
    prompt = f"Is the {first.name} {word} the {second.name}? Answer yes or no."
    mentions = [(first.name, [first]), (second.name, [second])]
    return None if abs(lead) < 0.05 else said("relation", prompt, "Yes" if lead > 0 else "No", mentions)


TASKS: dict[Callable, float] = {
    locate_all: 2, locate_all_zh: 0.5, locate_name: 3.5, locate_name_zh: 0.9, locate_absent: 3, locate_names: 2,
    locate_category: 2, locate_described: 3, name_described: 1, point: 2, other_keys: 0.8, count: 3, count_zh: 0.6,
    presence: 4, name_all: 1, name_one: 1, name_box: 0.5, relation: 1.5,
}  # fmt: skip


def ask(scene: Scene, rng: np.random.Generator, task: Callable | None = None) -> Turn:
    """One turn over a scene: the given task, or one drawn by its weight among those the scene allows."""
    options, weights = list(TASKS), np.array(list(TASKS.values()))
    while True:
        turn = (task or options[int(rng.choice(len(options), p=weights / weights.sum()))])(scene, rng)
        if turn or task:
            return turn
