"""Reads a model's reply: text in; boxes, points, 3D boxes, events, tool calls, code or JSON out.

A model writes JSON by hand: it forgets braces, leaves quotes unescaped, talks around it, stops when its tokens run out.
The readers never raise on text, lose one bad item and never the reply, and invent nothing. An item is an object that the
reply finished. Items come in the order in which their objects close, so what is read from the beginning of an answer is the
beginning of what is read from all of it. Coordinates stay as given: not clipped to the grid, not sorted. Other keys stay
too, and repeated objects; no label is made up. Of a key that stands twice in an object the first value counts. Text before
`</think>` is not read. `Parsed` tells "nothing there" (empty) from "unreadable" (empty, with reasons in `dropped`).

This file needs the standard library only and can be copied alone. Sources: RFC 8259 (JSON); the Qwen3-VL cookbooks
(`bbox_2d`, `point_2d`, `bbox_3d`, times); Qwen2-VL's tokens (`<|box_start|>`); Qwen's chat template (`<tool_call>`).
"""

import json
import re
from numbers import Real
from reprlib import repr as brief
from types import SimpleNamespace

__all__ = ["Parsed", "ParsedDict", "ReplyError", "extract_code", "parse_boxes", "parse_boxes_3d", "parse_events",
           "parse_json", "parse_points", "parse_tool_calls", "split_thinking"]


class Parsed(list):
    """What was read from a reply; `dropped` has a reason per lost item, `truncated` says that the reply was cut off.
    >>> cut = parse_boxes('[{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [555, 575, 80')
    >>> cut, cut.truncated, len(cut.dropped)
    ([{'bbox_2d': [1, 2, 3, 4]}], True, 1)
    """

    def __init__(self, items=(), dropped=(), truncated=False):
        super().__init__(items)
        self.dropped, self.truncated = list(dropped), truncated


class ParsedDict(dict):
    """An object read by `parse_json`, with `dropped` and `truncated` as in `Parsed`."""
    dropped, truncated = (), False


class ReplyError(ValueError):
    """Nothing could be read from a reply; `text` is the raw reply, `dropped` the reasons."""

    def __init__(self, text, dropped):
        super().__init__(f"nothing readable in the reply ({'; '.join(dropped[:3])}); it begins {text[:200]!r}")
        self.text, self.dropped = text, list(dropped)


def parse_boxes(text, size=None, *, grid=1000, strict=False):
    """Read the boxes of a reply, JSON or `<|box_start|>(x1,y1),(x2,y2)<|box_end|>`.

    size: `(width, height)` in pixels; grid: the model's full scale (1000, or 999).
    Returns Parsed dicts with `bbox_2d` `[x1, y1, x2, y2]` (or `bbox`) and the other keys: on the grid without size, float
    pixels with it. Raises TypeError if text is no str, ValueError for a bad size or grid, ReplyError if strict and nothing
    could be read; an empty list was read: it says "nothing". Source: Qwen3-VL 2D grounding cookbook; Qwen2-VL's tokens.
    >>> parse_boxes('Here: [{"bbox_2d": [100, 200, 300, 400], "label": "cat"}]', size=(500, 100))
    [{'bbox_2d': [50.0, 20.0, 150.0, 40.0], 'label': 'cat'}]
    """
    return _read(text, _finder(("bbox_2d", "bbox"), 4, _scale(size, grid)), "bbox_2d", strict)


def parse_points(text, size=None, *, grid=1000, strict=False):
    """Read the points of a reply: Parsed dicts with `point_2d` `[x, y]` (or `point`, `coordinate`) and the other keys.

    Arguments, units, Raises: as in `parse_boxes`. Source: Qwen3-VL 2D grounding and computer-use cookbooks.
    >>> parse_points('{"point_2d": [250, 500], "label": "door"}')
    [{'point_2d': [250, 500], 'label': 'door'}]
    """
    return _read(text, _finder(("point_2d", "point", "coordinate"), 2, _scale(size, grid)), "point_2d", strict)


def parse_boxes_3d(text, *, strict=False):
    """Read the 3D boxes of a reply: Parsed dicts with `bbox_3d`, nine numbers (metres, half-turns), and the other keys.

    Raises TypeError and ReplyError as in `parse_boxes`. Source: Qwen3-VL 3D grounding cookbook.
    >>> parse_boxes_3d('[{"bbox_3d": [0, 1, 4, 2, 1, 1, 0, 0.5, 0], "label": "sofa"}]')
    [{'bbox_3d': [0, 1, 4, 2, 1, 1, 0, 0.5, 0], 'label': 'sofa'}]
    """
    return _read(text, _finder(("bbox_3d",), 9), "bbox_3d", strict)


def parse_events(text, *, strict=False):
    """Read the events of a video reply: `{"mm:ss.ff - mm:ss.ff": "what"}` or objects with times.

    Times are seconds, `mm:ss.ff` or `hh:mm:ss.ff`, under `start` and `end` (or `start_time`, `end_time`, ...) or as a
    range under `time` or `timestamp`; a single time there is a moment, its end equal to its start.
    Returns Parsed dicts: `start`, `end` in float seconds, `description` ("" if the reply has none), other keys.
    Raises TypeError and ReplyError as in `parse_boxes`. Source: Qwen3-VL video understanding cookbook.
    >>> parse_events('{"00:23.00 - 01:48.50": "a dog runs"}')
    [{'start': 23.0, 'end': 108.5, 'description': 'a dog runs'}]
    """
    return _read(text, _find_events, "a time", strict)


def parse_tool_calls(text):
    """Read the tool calls of a reply, Parsed `{"name": str, "arguments": dict}`: `<tool_call>` blocks or else bare JSON.

    A missing `</tool_call>` and text around a call do no harm; arguments may be JSON in a string. A reply without a call
    is empty, with nothing dropped. Raises TypeError if text is not a str. Source: Qwen's chat template.
    >>> parse_tool_calls('<tool_call>{"name": "key", "arguments": {"keys": ["enter"]}}</tool_call>')
    [{'name': 'key', 'arguments': {'keys': ['enter']}}]
    """
    calls = Parsed()
    for block in split_thinking(text)[1].split("<tool_call>")[1:] or [text]:
        part = _read(block.rpartition("</tool_call>")[0] or block, _find_call)
        calls += part
        missing = block is not text and not part and not part.dropped
        calls.dropped += [f"a <tool_call> without a call: {block[:80]!r}"] if missing else part.dropped
        calls.truncated |= part.truncated
    return calls


def split_thinking(text):
    """Split a reply into `(thinking, answer)`, both stripped.

    Without `</think>` all is answer, unless the reply opens with `<think>`: then it was cut off while thinking, and the
    answer is "". Raises TypeError if text is not a str. Source: Qwen's chat template, which may give the opening tag.
    >>> split_thinking("two cats, I think</think>[]")
    ('two cats, I think', '[]')
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, the text of a reply (as in Reply.text); got {type(text).__name__}")
    thinking, tag, answer = text.rpartition("</think>")
    if text.lstrip().startswith("<think>"):
        thinking, answer = (thinking if tag else text).lstrip().removeprefix("<think>"), answer if tag else ""
    return thinking.strip(), answer.strip()


def extract_code(text, language=None):
    """Take the first fenced block of code out of a reply, to the reply's end if the closing fence is missing.

    language: take the first block marked so ("html", "python", ...), or else the first without a mark.
    Returns the code, or None if there is no such block. Raises TypeError if text is not a str. Source: CommonMark.
    >>> extract_code("Run this:\\n```python\\nprint(1)\\n```", "python")
    'print(1)'
    """
    blocks = [(match[2].lower(), match[3].strip("\r\n")) for match in _FENCED.finditer(split_thinking(text)[1])]
    if language is not None:
        blocks = [b for b in blocks if b[0] == language.lower()] or [b for b in blocks if not b[0]]
    return blocks[0][1] if blocks else None


def parse_json(text, *, strict=False):
    """Read the JSON value of a reply, mended where it is broken and shortened where it is cut off.

    Returns ParsedDict for an object, Parsed for a list (both with `dropped` and `truncated`), the plain value for a
    reply that is only a string, a number, true or false; None if there is no JSON. Of several values the longest is
    returned, the others are reported. Unfinished numbers, strings, lists of plain values, objects in a list are left out.
    Raises TypeError if text is not a str, ReplyError if strict and there is no JSON. Source: RFC 8259.
    >>> receipt = parse_json('```json\\n{"total": "9.50", "items": [{"name": "tea"}, {"name": "ca')
    >>> receipt, receipt.truncated
    ({'total': '9.50', 'items': [{'name': 'tea'}]}, True)
    """
    answer = split_thinking(text)[1]
    tree = _Tree(answer)
    if not tree.values:
        if strict and _loads(answer) is None and answer != "null":
            raise ReplyError(text, ["no JSON in the reply"])
        return _loads(answer)
    (start, end, value), *others = sorted(tree.values, key=lambda found: found[0] - found[1])
    parsed = (ParsedDict if isinstance(value, dict) else Parsed)(value)
    unclear = [f"not all of this is JSON: {answer[start:end][:80]!r}"] if tree.top.broken and not tree.lost else []
    parsed.dropped = tree.lost + unclear + [f"another value: {answer[start:end][:80]!r}" for start, end, _ in others]
    parsed.truncated = tree.truncated
    return parsed


_DEEPEST = 32  # levels of nesting that are read; replies have five or six
_LARGEST = 1e9  # no picture has a coordinate and no room a length beyond it
_HOLLOW = re.compile(r"""(?:[\s{}\[\],]|"[^"\\]*"\s*:)*""")  # JSON without numbers and texts says "nothing"
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\n(.*?)(?:^[ \t]*\1[`~]*[ \t\r]*$|\Z)", re.M | re.S)
_REF = r"<\|object_ref_start\|>(?P<label>.*?)(?:<\|object_ref_end\|>|\Z)"
_BOX_TOKENS = re.compile(_REF + r"|<\|box_start\|>(?P<box>[^<]*)(?P<end><\|box_end\|>)?", re.S)


def _read(text, find, wanted=None, strict=False):
    """What `find` makes of a reply's objects: items, reasons (str) or None; `wanted` is what objects lack that are no item."""
    answer = split_thinking(text)[1]
    tree, found = _Tree(_box_tokens_as_json(answer)), []
    for _, _, value in tree.values:
        _collect(value, find, wanted, found)
    reasons = tree.lost + [outcome for outcome in found if isinstance(outcome, str)]
    truncated = tree.truncated or bool(text.strip() and not answer)  # or cut off while thinking
    parsed = Parsed([outcome for outcome in found if not isinstance(outcome, str)], reasons, truncated)
    empty = tree.values and not tree.top.broken and not found and all(_HOLLOW.fullmatch(tree.text, *v[:2]) for v in tree.values)
    if wanted and not found and not tree.lost and not empty:
        parsed.dropped.append(f"no {'whole ' * parsed.truncated}item in the reply: {(answer or text)[:80]!r}")
    if strict and not parsed and parsed.dropped:
        raise ReplyError(text, parsed.dropped)
    return parsed


def _collect(node, find, wanted, found, depth=0, is_member=False):
    """Add the items and reasons below a node and of itself to found, in the order in which objects close."""
    is_object, before = isinstance(node, dict), len(found)
    for key, child in node.items() if is_object else enumerate(node):
        kind = type(child)
        if kind is str or kind is list and child and type(child[0]) is int:
            continue  # a label or coordinates, quickly passed by
        if (kind is dict or _is_container(child)) and depth < _DEEPEST and (wanted or key != "arguments"):
            _collect(child, find, wanted, found, depth + 1, is_object)  # but what a call passes on is no call
    own = find(node) if is_object else None
    if own is not None:
        if len(found) > before:
            found[before:] = [outcome for outcome in found[before:] if not isinstance(outcome, str)]
        found += own
    elif wanted and type(node) is dict and not (is_member or found[before:] or all(map(_is_container, node.values()))):
        found.append(f"an object without {wanted}: {brief(node)}")


def _is_container(value):
    return isinstance(value, (dict, list))


def _finder(keys, count, scale=None):
    """Finds objects with `count` numbers under one of `keys`, which the first replaces; with scale, grid becomes pixels."""

    def find(node):
        key = keys[0] if keys[0] in node else next(filter(node.__contains__, keys), None)
        if key is None or type(node) is _Broken:
            return None
        if not _are_numbers(node[key], count):
            return [f"{keys[0]} must be {count} finite numbers, got {brief(node[key])}"]
        item = node if key == keys[0] else {(keys[0] if k == key else k): value for k, value in node.items()}
        for name, length in (("bbox_2d", 4), ("point_2d", 2)) if scale else ():  # both, so that no item mixes two units
            if name in item and _are_numbers(item[name], length):
                item[name] = [value * scale[i % 2] / scale[2] for i, value in enumerate(item[name])]
        return [item]

    return find


def _are_numbers(values, count):
    for value in values if isinstance(values, list) and len(values) == count else [None]:
        kind = type(value)  # a bool is an int, but not of this type
        if kind is not int and kind is not float or not -_LARGEST < value < _LARGEST:  # NaN compares false
            return False
    return True


def _scale(size, grid):
    sides = list(size) if hasattr(size, "__iter__") else [size]
    good = [isinstance(number, Real) and 0 < number < _LARGEST for number in [grid, *sides]]
    if not good[0]:
        raise ValueError(f"grid must be a positive number such as 1000 or 999, got {brief(grid)}")
    if size is not None and good[1:] != [True, True]:
        raise ValueError(f"size must be (width, height), two positive numbers of pixels, got {brief(size)}")
    return None if size is None else tuple(map(float, [*sides, grid]))


def _box_tokens_as_json(text):
    """Qwen2-VL's tokens as JSON objects, unfinished where they are, so that one reader does for both."""
    label = ""

    def rewrite(match):
        nonlocal label
        if match["box"] is None:
            label = f'"label": {json.dumps(match["label"])}, '
            return "{" if match.end() == len(text) else ""
        numbers = match["box"].replace("(", "").replace(")", "")
        return f'{{{label}"bbox_2d": [{numbers}' + ("]}" if match["end"] else "")

    return _BOX_TOKENS.sub(rewrite, text) if "<|" in text else text


_TIME = r"[\s<\[(]*([0-9]+(?::[0-9]+){0,2}(?:[.,][0-9]+)?)\s*(?:s|secs?|seconds?|秒)?[\s>\])]*"
_MOMENT, _RANGE = re.compile(_TIME), re.compile(rf"{_TIME}(?:-+>?|–|—|~|to|至|到){_TIME}")
_STARTS, _ENDS, _TIMES = ("start", "start_time", "begin"), ("end", "end_time"), ("time", "timestamp", "timestamps", "interval")
_TEXTS = ("description", "event", "caption", "text", "label", "content", "activity", "action")


def _find_events(node):
    """The one event of an object with times, or the events of an object with time ranges as keys."""
    if any(key in node for key in _STARTS + _TIMES):
        return None if type(node) is _Broken else [_event(node)]
    ranges = {key: node[key] for key in node if _RANGE.fullmatch(key) and type(node[key]) is not _Broken}
    texts = [text if isinstance(text, dict) else {"description": text} for text in ranges.values()]
    return [_event({"time": time, **text}) for time, text in zip(ranges, texts)] or None


def _event(node):
    first, last, time, word = (next(filter(node.__contains__, keys), None) for keys in (_STARTS, _ENDS, _TIMES, _TEXTS))
    ends = [node[first], node.get(last)] if first else node[time]
    if isinstance(ends, str) and (match := _RANGE.fullmatch(ends)):
        ends = match.groups()
    ends = [_seconds(end) for end in (ends if isinstance(ends, (list, tuple)) else [ends, ends])]
    if len(ends) != 2 or None in ends:
        return f"an event without a readable start and end: {brief(node)}"
    others = {key: value for key, value in node.items() if key not in (first or time, last if first else time, word)}
    return {"start": ends[0], "end": ends[1], "description": node.get(word, ""), **others}


def _seconds(value):
    if isinstance(value, str) and (match := _MOMENT.fullmatch(value)):
        value = 0.0
        for part in match[1].replace(",", ".").split(":"):
            value = value * 60 + float(part)
    return float(value) if _are_numbers([value], 1) and value >= 0 else None


def _find_call(node):
    if not {"arguments", "name"} <= node.keys() or type(node) is _Broken:
        return None
    name, arguments = node["name"], _loads(node["arguments"], node["arguments"])
    if isinstance(name, str) and isinstance(arguments, dict):
        return [{"name": name, "arguments": arguments}]
    return [f"a call needs a name and an object of arguments, got {brief(node)}"]


_OPENER, _PLAUSIBLE = re.compile(r"[{\[]"), re.compile(r"""\[|\{\s*["}]""")
_TOKEN, _QUOTE = re.compile(r"""\s*([{}\[\],:"']|[^\s{}\[\],:"']+)"""), re.compile(r"""\\.|["']""", re.S)
_KEY = r"""(["'])(?:(?!\1)[^\\]|\\.)*(?:\1\s*(?::|\Z)|\\?\Z)"""  # to its colon, or to the end of the text
_NEXT_KEY = re.compile(rf"\s*,?\s*{_KEY}", re.S)
# What follows the quote that closes a string; a quote inside it that lacks its backslash is followed by something else.
# At the very end of the text nobody can tell: the string counts as unfinished.
_AFTER_KEY = re.compile(r"\s*:")
_AFTER_MEMBER = re.compile(rf"\s*(?:[}}\]]|,\s*(?:[{{}}\[\]]|{_KEY}))", re.S)
_AFTER_ELEMENT = re.compile(r"""\s*(?:[}\]]|,\s*(?:["'{}\[\]\-0-9]|(?:true|false|null|True|False|None)\b))""")
_NAMES, _ESCAPED = {"None": None, "True": True, "False": False}, {'"': '\\"', "\\'": "'"}  # as Python writes them
_COLON, _BAD = _MARKS = object(), object()
_Broken = type("_Broken", (dict,), {})  # an object that is not whole: no item, but items may be inside


class _Tree:
    """The lists and objects of a text, as `(start, end, value)`, and the reasons for what they lost.

    The C scanner of `json` reads what is well formed. The rest is read token by token into frames: `members` are elements
    or (key, value) pairs, `parts` what stands between two commas, `around` the brackets that are open.
    """

    def __init__(self, text):
        self.text, self.values, self.lost, self.truncated, self.failed_at = text, [], [], False, len(text)
        self.top = SimpleNamespace(around="", broken=False, told=False)
        self._decode = json.JSONDecoder(strict=False).raw_decode
        self._decode_pairs = json.JSONDecoder(strict=False, object_pairs_hook=self._object).raw_decode
        while match := _OPENER.search(text, self.values[-1][1] if self.values else 0):
            value, end = self._value(match.start(), self.top)
            self.values.append((match.start(), end, value))

    def _object(self, pairs):
        first = dict(reversed(pairs))
        again = [(k, v) for k, v in pairs if first[k] is not v and (_is_container(v) or first[k] != v)]
        self.lost += [f"a second {brief(key)} in one object: {brief(value)}" for key, value in again]
        return {key: first[key] for key, _ in pairs}

    def _fast(self, text, start):
        """The well-formed value that opens at start, and its end; None if it is not well formed."""
        try:
            value, end = self._decode(text, start) if _PLAUSIBLE.match(text, start) else (None, None)
            objects = value if isinstance(value, list) else [value]
            if set(map(type, objects)) == {dict} and sum(map(len, objects)) == text.count(":", start, end):
                return value, end  # with a colon for each key no key stands twice
            return end and self._decode_pairs(text, start)
        except (ValueError, RecursionError) as error:  # ValueError also for a number of more than 4,300 digits
            self.failed_at = getattr(error, "pos", start)

    def _value(self, start, parent):
        """The value that opens at start, or _BAD if nothing in it is worth keeping, and its end."""
        frame = SimpleNamespace(start=start, is_object=self.text[start] == "{", members=[], parts=[], broken=False, told=False)
        frame.around = parent.around + self.text[start]
        end = None if self.values or parent.around else self._whole_elements(frame)  # most replies are one list of objects
        if not end and (found := self._fast(self.text, start)):
            return found
        end = end or self._whole_elements(frame) or start + 1
        end = self._fill(frame, end) if len(frame.around) <= _DEEPEST else len(self.text)
        self._commit(frame, end, last=True)
        node = self._object(frame.members) if frame.is_object else frame.members
        parent.broken, parent.told = parent.broken or frame.broken, parent.told or frame.told
        if not frame.broken:
            return node, end
        if not frame.is_object:
            return node if not parent.around or any(map(_is_container, node)) else _BAD, end
        keep = parent.around[-1:] != "[" or any(map(_is_container, node.values())) or any(map(_RANGE.match, node))
        return _Broken(node) if keep else _BAD, end

    def _whole_elements(self, frame):
        """Begin a list with all that is whole before the place where the C scanner failed; returns where to go on, or 0."""
        end = 0 if frame.is_object else self.text.rfind("}", frame.start, self.failed_at) + 1
        found = self._fast(self.text[frame.start : end] + "]", 0) if end else None
        frame.members, frame.parts = (found[0][:-1], found[0][-1:]) if found else ([], [])
        return frame.start + found[1] - 1 if found else 0

    def _fill(self, frame, end):
        """Read a frame token by token up to its end, which is where one around it closes if its own bracket is missing."""
        while match := _TOKEN.match(self.text, end):
            token, start, end = match[1], match.start(1), match.end()
            if token in "{[":
                if frame.is_object and frame.parts[-1:] != [_COLON]:
                    return start  # a brace is stray or one is missing: the object ends here
                value, end = self._value(start, frame)
                frame.parts.append(value)
            elif token in "}]":
                opener, stray = "{["[token == "]"], token == "]" and frame.is_object and _NEXT_KEY.match(self.text, end)
                if opener in frame.around and not stray:
                    fits = frame.around[-1] == opener
                    frame.broken |= not fits and not frame.is_object  # an object may lack its brace, a list not
                    return end if fits else start
            elif token in "\"'":
                if frame.is_object and len(frame.parts) == 3 and _NEXT_KEY.match(self.text, start):
                    self._commit(frame, start)  # only the comma is missing
                closed = _AFTER_ELEMENT if not frame.is_object else _AFTER_MEMBER if frame.parts else _AFTER_KEY
                value, end = _string_at(self.text, start, closed)
                frame.parts.append(value)
            elif token == ",":
                self._commit(frame, end)
            else:
                frame.parts.append(_COLON if token == ":" else _NAMES[token] if token in _NAMES else _loads(token, _BAD))
        self.truncated = True  # a plain value at the end of the text may not be whole
        if frame.is_object and _is_container((frame.parts or [0])[-1]):
            self._commit(frame, end)
        frame.parts.append(_BAD)
        return len(self.text)

    def _commit(self, frame, end, last=False):
        """Keep what stands between two commas: only at a comma or a bracket is it known to be whole."""
        parts, frame.parts = frame.parts, []
        if frame.is_object:
            sound = len(parts) == 3 and isinstance(parts[0], str) and parts[1] is _COLON and parts[2] not in _MARKS
            frame.members += [(parts[0], parts[2])] if sound else []
        else:  # between objects or lists a comma may be missing
            sound = len(parts) == 1 and parts[0] not in _MARKS or bool(parts) and all(map(_is_container, parts))
            frame.members += parts if sound else filter(_is_container, parts)
        if sound or not parts and (last or frame.is_object):
            return
        frame.broken = True
        # one reason for an object; if its keys are times, one for each member
        if frame.is_object and (not frame.told or len(parts) > 1 and any(_RANGE.match(key) for key, _ in frame.members)):
            self.lost.append(f"{'cut off' if self.truncated else 'cannot read'}: {self.text[frame.start : end][-80:]!r}")
            frame.told = True


def _string_at(text, start, closed):
    """The string that opens at start and where it ends; or _BAD and where the next member or object begins."""
    for match in (found for found in _QUOTE.finditer(text, start + 1) if found[0] == text[start]):
        if closed.match(text, match.end()):
            raw = text[start + 1 : match.start()]
            return _loads(f'"{_QUOTE.sub(lambda m: _ESCAPED.get(m[0], m[0]), raw)}"', raw), match.end()
        before = text[max(start + 1, match.start() - 40) : match.start()].rstrip()
        if before.endswith(("{", ",")) and _NEXT_KEY.match(text, match.start()):
            return _BAD, text.rindex(before[-1], start, match.start())
    return _BAD, len(text)


def _loads(text, default=None):
    try:
        return json.loads(text, strict=False)
    except (TypeError, ValueError, RecursionError):
        return default
