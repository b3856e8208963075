"""Generation settings: their names and ranges, and the values with which Qwen3-VL was published.

The same names work with every backend: `max_new_tokens`, `temperature` (0 is greedy), `top_p`, `top_k` (0 is off),
`repetition_penalty`, `presence_penalty`, `seed`, `stop`. What a call does not name keeps the model's own default, which
for a server is whatever that server does. Servers take more (`SERVER_RANGES`), each where it has a place for it
(`models/servers.py`).

Sources: model cards of Qwen3-VL-*-Instruct and Qwen3-VL-*-Thinking, "Generation Hyperparameters", VL (there
`out_seq_length` is the number of new tokens). The README of the repository QwenLM/Qwen3-VL lists 32768 new tokens
for Instruct models and, in some of its versions, a temperature of 0.6 for Thinking models.
"""

from numbers import Integral, Real

INSTRUCT = {
    "max_new_tokens": 16384, "temperature": 0.7, "top_p": 0.8, "top_k": 20,
    "repetition_penalty": 1.0, "presence_penalty": 1.5,
}  # fmt: skip
THINKING = {
    "max_new_tokens": 40960, "temperature": 1.0, "top_p": 0.95, "top_k": 20,
    "repetition_penalty": 1.0, "presence_penalty": 0.0,
}  # fmt: skip
GREEDY = {
    "max_new_tokens": 512, "temperature": 0.0, "top_p": 1.0, "top_k": 0,
    "repetition_penalty": 1.0, "presence_penalty": 0.0,
}  # fmt: skip


def _is(value, kind):
    return isinstance(value, kind) and not isinstance(value, bool)


def _number(low, high, above=False):
    return lambda value: _is(value, Real) and low <= value <= high and not (above and value == low)


def _whole(low):
    return lambda value: _is(value, Integral) and value >= low


def _stops(value):
    return bool(value) and all(isinstance(text, str) and text for text in ([value] if isinstance(value, str) else value))


# name -> (what it has to be, in words; the test of it)
_RANGES = {
    "max_new_tokens": ("a whole number from 1", _whole(1)),
    "temperature": ("a number from 0 (greedy) to 100", _number(0, 100)),
    "top_p": ("a number over 0, up to 1", _number(0, 1, above=True)),
    "top_k": ("a whole number from 0 (off)", _whole(0)),
    "repetition_penalty": ("a number over 0", _number(0, 100, above=True)),
    "presence_penalty": ("a number from -2 to 2", _number(-2, 2)),
    "seed": ("a whole number from 0", _whole(0)),
    "stop": ("a text or a list of texts, none of them empty", _stops),
}


SERVER_RANGES = {
    "response_format": (
        "a JSON schema, or OpenAI's {'type': ...} (a dict)",
        lambda value: isinstance(value, dict) and bool(value),
    ),
    "enable_thinking": ("True or False", lambda value: isinstance(value, bool)),
    "thinking_budget": ("a whole number of tokens from 1", _whole(1)),
    "vl_high_resolution_images": ("True or False", lambda value: isinstance(value, bool)),
    "extra_body": ("a dict of the server's own fields", lambda value: isinstance(value, dict)),
    "timeout_s": ("a number of seconds over 0", _number(0, 1e6, above=True)),
    "total_timeout_s": ("a number of seconds over 0", _number(0, 1e6, above=True)),
}


def settings_of(name: str) -> dict:
    """Give the published settings of a Qwen3-VL model, by its name.

    >>> settings_of("Qwen/Qwen3-VL-4B-Thinking")["top_p"]
    0.95
    """
    return dict(THINKING if "thinking" in name.lower() else INSTRUCT)


def read_settings(given: dict, defaults: dict, more: dict | None = None) -> dict:
    """Check a call's settings and fill in the defaults; a value of None keeps the default.

    more: further names and their ranges, such as SERVER_RANGES.
    Returns a new dict with every name of defaults and given, `seed` None and `stop` a list if not given.
    Raises TypeError for an unknown name, ValueError for a value outside its range.

    >>> read_settings({"temperature": 0, "stop": "END"}, INSTRUCT)["stop"]
    ['END']
    """
    ranges = {**_RANGES, **(more or {})}
    unknown = set(given) - set(ranges)
    if unknown:
        raise TypeError(f"unknown generation setting {', '.join(sorted(unknown))}; known: {', '.join(ranges)}")
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        what, good = ranges[name]
        if not good(value):
            raise ValueError(f"{name} must be {what}, got {value!r}")
    settings = {"seed": None, "stop": [], **defaults, **given}
    return {**settings, "stop": [settings["stop"]] if isinstance(settings["stop"], str) else list(settings["stop"])}


def cut_at(text: str, stops: list[str]) -> str:
    """Cut a text before the first of the stop texts.

    >>> cut_at("one two three", ["three", "two"])
    'one '
    """
    return text[: min((at for at in map(text.find, stops) if at >= 0), default=len(text))]


def unfinished(text: str, marks: list[str]) -> int:
    """Count the characters at a text's end that may be the beginning of one of the marks.

    >>> unfinished("one </th", ["</think>"])
    4
    """
    return max((n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0)


def pieces_until(pieces, stops: list[str]):
    """Pass on pieces of a text up to the first stop text, holding back what may be the beginning of one.

    >>> list(pieces_until(["on", "e <", "EN", "D> two"], ["<END>"]))
    ['on', 'e ']
    """
    held = ""
    for piece in pieces:
        held += piece
        cut = cut_at(held, stops)
        stopped = len(cut) < len(held)
        keep = 0 if stopped else unfinished(held, stops)
        if ready := cut[: len(cut) - keep]:
            yield ready
        if stopped:
            return
        held = held[len(held) - keep :] if keep else ""
    if held:
        yield held
