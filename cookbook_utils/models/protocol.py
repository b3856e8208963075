"""OpenAI's protocol: a conversation becomes the body of a request, a completion or the chunks of a stream a reply.

What is the same for all servers is written here; how they differ comes from the tables in `servers.py`. Tool calls that
the server read out of the text are written back into it, as the model wrote them, so that a reply's text is the same
from every backend and can be sent back as the assistant's turn.

Sources: OpenAI API reference, "Create chat completion"; vLLM, "Reasoning outputs" (the field `reasoning`, before that
`reasoning_content`); Qwen's chat template (`<tool_call>`).
"""

import json
from functools import wraps

from .faults import BrokenReply, ContentFiltered
from .generation import cut_at
from .messages import Conversation
from .pictures import fitted_size, picture_url
from .reply import Reply
from .servers import Server

_NOT_SENT = ("timeout_s", "total_timeout_s", "extra_body")
_FORMATS = ("text", "json_object", "json_schema")  # OpenAI's own; any other dict is a JSON schema
_TURN_ENDS = ("<|im_end|>", "<|endoftext|>")


def request_body(server: Server, name: str, conversation: Conversation, settings: dict) -> dict:
    """Write the body of a request, pictures and videos included.

    Raises ValueError for a setting that the server has no place for, or a picture or video that it does not take.
    """
    messages, fields = _messages(server, conversation)
    body = {"model": name, "messages": messages, **server.always, **fields}
    if conversation.tools:
        body["tools"] = conversation.tools
    for setting, value in settings.items():
        if setting not in _NOT_SENT and value is not None and value != []:
            _place(body, server, setting, value)
    return merged(body, settings.get("extra_body") or {})


def _place(body: dict, server: Server, setting: str, value) -> None:
    if setting not in server.places:
        raise ValueError(
            f"{setting} is not a setting of {server.title}; it takes {', '.join(server.places)}, and its own by extra_body"
        )
    if setting == "top_k" and value == 0:
        value = server.no_top_k
    if setting == "response_format" and value.get("type") not in _FORMATS:
        value = {"type": "json_schema", "json_schema": {"name": "answer", "schema": value, "strict": True}}
    *levels, last = server.places[setting].split(".")
    for level in levels:
        body = body.setdefault(level, {})
    body[last] = value


def merged(first: dict, second: dict) -> dict:
    """Join two dicts, and the dicts in them; where both have a plain value the second one's counts.

    >>> merged({"a": {"b": 1}}, {"a": {"c": 2}})
    {'a': {'b': 1, 'c': 2}}
    """
    both = {key: merged(first[key], second[key]) for key in first.keys() & second.keys()
            if isinstance(first[key], dict) and isinstance(second[key], dict)}  # fmt: skip
    return {**first, **second, **both}


# --- messages -------------------------------------------------------------------------------------------------------


def _messages(server: Server, conversation: Conversation) -> tuple[list[dict], dict]:
    """Messages as the server reads them, and the fields of the body that their pictures and videos need."""
    resize, fields = _budgets(server, conversation)
    messages, calls = [], _Calls()
    for message in conversation.messages:
        content = message["content"]
        if not isinstance(content, str):
            content, wanted = _parts(server, content, resize)
            fields = _joined(fields, wanted, server)
        messages.append(calls.numbered({**message, "content": content}))
    return messages, fields


def _parts(server: Server, parts: list[dict], resize: str) -> tuple[list[dict], dict]:
    written, fields = [], {}
    for part in parts:
        if part["type"] == "text":
            written.append(part)
        elif part["type"] == "image":
            written.append(_picture(server, part, resize))
        else:
            pieces, wanted = server.video(part, server.limits)
            written, fields = written + pieces, _joined(fields, wanted, server)
    return written, fields


def _joined(fields: dict, wanted: dict, server: Server) -> dict:
    """Fields with those of one more video; frames can be chosen in one way for a request only."""
    key = "media_io_kwargs"
    if key in fields and key in wanted and fields[key] != wanted[key]:
        raise ValueError(
            f"{server.title} reads all videos of a request with the same fps, num_frames and times; ask about these videos one by one"
        )
    return merged(fields, wanted)


def _budgets(server: Server, conversation: Conversation) -> tuple[str, dict]:
    """Which pictures are resized here ("none", "some": those with a budget, "all"), and the fields that tell the server.

    vLLM has one budget for all pictures of a request: it is given when they agree; else they are resized here, and the
    budget is made wide enough to leave them so. With a video it is not given, since it would count for that too.
    """
    pictures = list(conversation.parts("image"))
    budgets = {(part["min_pixels"], part["max_pixels"]) for part in pictures}
    if server.budgets == "part" or budgets <= {(None, None)}:
        return "none", {}
    if server.budgets == "here" or any(conversation.parts("video")):
        return "some", {}
    if len(budgets) == 1:
        least, most = budgets.pop()
        least = least or (most if most and most < 65_536 else None)  # never more than the most
        return "none", {
            "mm_processor_kwargs": {name: value for name, value in (("min_pixels", least), ("max_pixels", most)) if value}
        }
    areas = [width * height for width, height in map(_fitted, pictures)]
    return "all", {"mm_processor_kwargs": {"min_pixels": min(areas), "max_pixels": max(areas)}}


def _fitted(part: dict) -> tuple[int, int]:
    return fitted_size(part["image"].size, part["min_pixels"], part["max_pixels"])


def _picture(server: Server, part: dict, resize: str) -> dict:
    budget = {name: part[name] for name in ("min_pixels", "max_pixels") if part[name]}
    size = _fitted(part) if resize == "all" or (resize == "some" and budget) else None
    url = picture_url(part["image"], server.limits, server.title, size=size, max_pixels=part["max_pixels"])
    beside = budget if server.budgets == "part" else {}
    return {"type": "image_url", "image_url": {"url": url}, **beside}


class _Calls:
    """Gives tool calls and their answers the ids that the protocol wants, in order, where they have none."""

    def __init__(self):
        self.count, self.open = 0, []

    def numbered(self, message: dict) -> dict:
        if message.get("tool_calls"):
            calls = [self._call(call) for call in message["tool_calls"]]
            self.open = [call["id"] for call in calls]
            return {**message, "tool_calls": calls}
        if message["role"] != "tool":
            return message
        number = message.get("tool_call_id") or (self.open[0] if self.open else f"call_{self.count}")
        self.open = [known for known in self.open if known != number]
        return {**message, "tool_call_id": number}

    def _call(self, call: dict) -> dict:
        function = call.get("function", call)
        arguments = function.get("arguments", {})
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        self.count += 1
        number = call.get("id") or f"call_{self.count}"
        return {"id": number, "type": "function", "function": {"name": function.get("name"), "arguments": text}}


# --- replies --------------------------------------------------------------------------------------------------------


def _checked(read):
    """A reader for which an answer of another shape is a BrokenReply."""

    @wraps(read)
    def reading(*args, **options):
        try:
            return read(*args, **options)
        except (TypeError, AttributeError, LookupError) as error:
            raise BrokenReply(f"an answer of another shape than the protocol's ({type(error).__name__}: {error})") from None

    return reading


@_checked
def read_completion(data: dict, settings: dict, seconds: float, *, thinks: bool = False) -> Reply:
    """Make a reply of a completion.

    thinks: the model is known to think first, so that a text cut off before `</think>` is thinking.
    Raises BrokenReply when there is no choice in it, ContentFiltered (with `partial`) when a filter ended it.
    """
    if not data.get("choices"):
        raise BrokenReply("an answer without a choice")
    choice = data["choices"][0]
    message, reason = choice["message"], choice.get("finish_reason") or "stop"
    content = _text(message.get("content"))
    for mark in _TURN_ENDS:
        content = content.removesuffix(mark)
    cut = cut_at(content, settings["stop"])
    written = "\n".join(filter(None, [cut, *map(_written, message.get("tool_calls") or [])]))
    if thinking := _thinking(message):
        written = f"<think>{thinking}</think>{written}"
    elif thinks and reason == "length" and "</think>" not in written:
        written = f"<think>{written.removeprefix('<think>')}"
    if reason == "content_filter":
        raise ContentFiltered("a content filter ended the answer; change the prompt or the picture", partial=written)
    ended = "stop" if reason in ("tool_calls", "function_call") or cut != content else reason
    return Reply.read(written, usage=_usage(data.get("usage") or {}), seconds=seconds, finish_reason=ended)


def _text(content) -> str:
    """The text of a message's content, which some servers give in parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])


def _thinking(message: dict) -> str:
    return message.get("reasoning_content") or message.get("reasoning") or ""


def _written(call: dict) -> str:
    """A tool call as Qwen's template has it; its arguments stay as they came, broken or not."""
    function = call["function"]
    return (
        f'<tool_call>\n{{"name": {json.dumps(function["name"])}, "arguments": {function.get("arguments") or "{}"}}}\n</tool_call>'
    )


def _usage(usage: dict) -> dict:
    details = usage.get("prompt_tokens_details") or {}
    by_kind = details.get("multimodal_tokens") or {}  # vLLM's way
    details = {**details, **{f"{kind}_tokens": count for kind, count in by_kind.items()}}
    seen = [details[name] for name in ("image_tokens", "video_tokens") if details.get(name) is not None]
    return {
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "image_tokens": sum(seen) if seen else None,
    }


class Heard:
    """What a stream has brought so far; `completion` is the same answer in one piece."""

    def __init__(self):
        self.content, self.thinking, self.calls, self.reason, self.usage = [], [], {}, None, {}

    @_checked
    def add(self, chunk: dict) -> tuple[str, str]:
        """Take in a chunk; give its thinking and its text."""
        self.usage = chunk.get("usage") or self.usage
        if not chunk.get("choices"):  # the last one, with the usage
            return "", ""
        choice = chunk["choices"][0]
        delta, self.reason = choice.get("delta") or {}, choice.get("finish_reason") or self.reason
        thinking, text = _thinking(delta), _text(delta.get("content"))
        self.thinking.append(thinking)
        self.content.append(text)
        for call in delta.get("tool_calls") or []:
            whole = self.calls.setdefault(call.get("index", 0), {"name": "", "arguments": ""})
            for name, piece in (call.get("function") or {}).items():
                whole[name] = whole.get(name, "") + (piece or "")
        return thinking, text

    @property
    def text(self) -> str:
        """The text so far, without thinking and tool calls."""
        return "".join(self.content)

    def tool_text(self) -> str:
        """The tool calls so far, as the model wrote them."""
        return "\n".join(_written({"function": call}) for call in self.calls.values())

    def completion(self) -> dict:
        """All of it in the form of a completion."""
        message = {"content": self.text, "reasoning": "".join(self.thinking)}
        message["tool_calls"] = [{"function": call} for call in self.calls.values()]
        return {"choices": [{"message": message, "finish_reason": self.reason}], "usage": self.usage}
