"""One message format for every backend: Qwen's, with OpenAI's `image_url` and `video_url` parts accepted too.

    [{"role": "user", "content": [
        {"type": "image", "image": path | URL | data URL | PIL, "min_pixels": int, "max_pixels": int},
        {"type": "video", "video": path | URL | list of pictures, "fps": float, "num_frames": int, "max_pixels": int},
        {"type": "text", "text": str}]}]

`content` may also be a text alone. `min_pixels` and `max_pixels` are a picture's budget after resizing, of a video the
budget of each frame; one visual token covers 32 x 32 pixels. Roles: system, user, assistant (also with `tool_calls`),
tool. A key that is not known is an error, since a misspelt budget would otherwise be ignored in silence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from .media import Media

ROLES = ("system", "user", "assistant", "tool")
_BUDGET = ("min_pixels", "max_pixels")
_KEYS_OF = {
    "text": ("text",),
    "image": ("image", "image_url", "url", "path", *_BUDGET),
    "video": ("video", "video_url", "url", "path", "fps", "num_frames", *_BUDGET),
}
_KIND_OF = {"image_url": "image", "video_url": "video"}
_MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content")
_PLACEHOLDERS = ("<|image_pad|>", "<|video_pad|>")


@dataclass(frozen=True)
class Conversation:
    """Messages with their pictures and videos loaded, ready for a backend.

    `messages`: `content` is a text or a list of parts: text parts as given, images with a PIL image, videos with a
    `Clip` (or what the backend's own `Media` makes of them); both have `min_pixels` and `max_pixels`, None where nothing
    was asked for. `tools`: JSON schemas.
    """

    messages: list[dict]
    tools: list[dict] = field(default_factory=list)

    def parts(self, kind: str) -> Iterator[dict]:
        """The parts of a kind ("image", "video" or "text"), in reading order."""
        for message in self.messages:
            if not isinstance(message["content"], str):
                yield from (part for part in message["content"] if part["type"] == kind)


def read_messages(messages, *, tools=None, min_pixels=None, max_pixels=None, media=Media) -> Conversation:
    """Check messages and load their pictures and videos.

    tools: JSON schemas of functions; min_pixels, max_pixels: budget of every picture and frame whose part has none;
    media: how pictures and videos are taken in.
    Raises TypeError or ValueError that names the message and the part, and as `load_image` and `load_video`.

    >>> read_messages([{"role": "user", "content": "Hello"}]).messages
    [{'role': 'user', 'content': 'Hello'}]
    """
    if not isinstance(messages, (list, tuple)) or not messages:
        got = "an empty list" if isinstance(messages, (list, tuple)) else type(messages).__name__
        raise TypeError(f"messages: expected a list of {{'role', 'content'}}, got {got}; for a single question see ask()")
    tools = [] if tools is None else tools
    if not isinstance(tools, (list, tuple)) or not all(isinstance(tool, Mapping) for tool in tools):
        raise TypeError(f"tools: expected a list of JSON schemas (dicts), got {tools!r:.80}")
    budget = _budget({"min_pixels": min_pixels, "max_pixels": max_pixels}, "this call")
    read = [_message(message, budget, media, f"messages[{index}]") for index, message in enumerate(messages)]
    return Conversation(read, [dict(tool) for tool in tools])


def question(prompt, images=(), video=None, *, system=None, fps=None, num_frames=None, media=Media) -> list[dict]:
    """Make the messages of a single question: pictures, then the video, then the text, as in Qwen's examples.

    images: one picture or a list of them, each as in `load_image`; video as in `load_video`.
    Raises TypeError when prompt or system is not a text; the pictures' errors name `images[number]`.

    >>> question("How many?", system="Be brief.")[0]
    {'role': 'system', 'content': 'Be brief.'}
    """
    for name, text in (("prompt", prompt), ("system", "" if system is None else system)):
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected a text, got {type(text).__name__}")
    one = isinstance(images, (str, Path, Image.Image))
    if not one and not isinstance(images, (list, tuple)):
        raise TypeError(f"images: expected a picture (path, URL, PIL) or a list of pictures, got {type(images).__name__}")
    content = [
        {"type": "image", "image": media.image(image, "images" if one else f"images[{index}]")}
        for index, image in enumerate([images] if one else images)
    ]
    if video is not None:
        content.append({"type": "video", "video": video, "fps": fps, "num_frames": num_frames})
    head = [] if system is None else [{"role": "system", "content": system}]
    return [*head, {"role": "user", "content": [*content, {"type": "text", "text": prompt}]}]


def _message(message, budget, media, where):
    if not isinstance(message, Mapping):
        raise TypeError(f"{where}: expected a dict with role and content, got {type(message).__name__}")
    _refuse_unknown(message, _MESSAGE_KEYS, where)
    if message.get("role") not in ROLES:
        raise ValueError(f"{where}.role: expected one of {', '.join(ROLES)}, got {message.get('role')!r}")
    return {**message, "content": _content(message, budget, media, f"{where}.content")}


def _content(message, budget, media, where):
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return ""
    if isinstance(content, str):
        return _text(content, where)
    if not isinstance(content, (list, tuple)) or not content:
        got = "an empty list" if content in ([], ()) else type(content).__name__
        raise TypeError(f"{where}: expected a text or a list of parts, got {got}")
    return [_part(part, budget, media, f"{where}[{index}]") for index, part in enumerate(content)]


def _part(part, budget, media, where):
    if not isinstance(part, Mapping):
        raise TypeError(f"{where}: expected a dict such as {{'type': 'text', 'text': ...}}, got {type(part).__name__}")
    kind = part.get("type") or next((key for key in ("text", "image", "video", *_KIND_OF) if key in part), None)
    kind = _KIND_OF.get(kind, kind)
    if kind not in _KEYS_OF:
        known = ", ".join([*_KEYS_OF, *_KIND_OF])
        raise ValueError(f"{where}.type: expected one of {known}, got {kind!r}")
    _refuse_unknown(part, ("type", *_KEYS_OF[kind]), where)
    if kind == "text":
        return {"type": "text", "text": _text(part.get("text"), f"{where}.text")}
    key, source = _source(part, kind, where)
    own = {**budget, **{name: value for name, value in _budget(part, where).items() if value is not None}}
    if kind == "image":
        return {"type": "image", "image": media.image(source, f"{where}.{key}"), **own}
    clip = media.video(source, fps=part.get("fps"), num_frames=part.get("num_frames"), where=f"{where}.{key}")
    return {"type": "video", "video": clip, **own}


def _refuse_unknown(given, known, where):
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}; known here: {', '.join(known)}")


def _text(text, where):
    if not isinstance(text, str):
        raise TypeError(f"{where}: expected a text, got {type(text).__name__}")
    if any(mark in text for mark in _PLACEHOLDERS):
        raise ValueError(f"{where}: contains {' or '.join(_PLACEHOLDERS)}, which stands for a picture; use an image part")
    return text


def _source(part, kind, where):
    """Key and value of a part's picture or video; OpenAI wraps its URL in a dict."""
    keys = [key for key in _KEYS_OF[kind][:4] if part.get(key) is not None]
    if len(keys) != 1:
        raise ValueError(f"{where}: expected exactly one of {', '.join(_KEYS_OF[kind][:4])}, got {', '.join(keys) or 'none'}")
    value = part[keys[0]]
    return keys[0], value.get("url") if isinstance(value, Mapping) else value


def _budget(given, where):
    budget = {name: given.get(name) for name in _BUDGET}
    for name, value in budget.items():
        if value is not None and not (isinstance(value, int) and value > 0):
            raise ValueError(f"{where}: {name} must be a positive whole number of pixels, got {value!r}")
    if None not in budget.values() and budget["min_pixels"] > budget["max_pixels"]:
        raise ValueError(f"{where}: min_pixels is {budget['min_pixels']}, more than max_pixels {budget['max_pixels']}")
    return budget
