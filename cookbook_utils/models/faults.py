"""What can go wrong with a model behind a server: one error class per kind of fault, each of which says what to do.

    ModelError             any of these; `transient`: the same request may succeed later
      KeyRefused           no key, or one that the server does not accept
      UnknownModel         a name that the server does not serve (any more); `offered` lists what it does
      RequestRefused       a request that the server finds wrong; the same one would fail again
      ContentFiltered      refused or cut off by a content filter; `partial` is what came before
      ServerBusy           too many requests (transient); `retry_after_s` when the server named a time
      ServerFault          a fault of the server (transient)
      Unreachable          no connection, or no answer in time (transient)
      BrokenReply          not what the protocol promises, or cut off (transient); `partial` is what came

No message holds a key: what a server says is scrubbed, and the client's own error, which knows the request's headers, is
not kept as a cause.
"""

import difflib
import json
import re
from email.utils import parsedate_to_datetime

_BUSY, _FAULTS = (409, 425, 429, 529), (408, 500, 502, 503, 504)
_KEY_LIKE = re.compile(r"\b(sk|ak|Bearer)([-_ ])[\w*.-]{6,}")
_NO_MODEL = re.compile(
    r"model\b.{0,200}?\b(not exist|not found|not supported|no such|retired|deprecated|unavailable)", re.IGNORECASE | re.DOTALL
)
_NO_MODEL_CODES = ("model_not_found", "ModelNotFound", "model_not_supported", "InvalidModel")
_FILTER = re.compile(r"data_?inspection|content_?(filter|policy)|inappropriate content", re.IGNORECASE)
_SHOWN = 12  # names of models in a message


class ModelError(RuntimeError):
    """A model behind a server did not answer; see the module's head for the kinds."""

    transient = False

    def __init__(self, message: str, *, status=None, retry_after_s=None, partial="", offered=()):
        super().__init__(message)
        self.status, self.retry_after_s, self.partial, self.offered = status, retry_after_s, partial, list(offered)

    def named(self, message: str) -> "ModelError":
        """The same fault with another message."""
        return type(self)(
            message, status=self.status, retry_after_s=self.retry_after_s, partial=self.partial, offered=self.offered
        )


class KeyRefused(ModelError):
    """No key, or one that the server does not accept."""


class UnknownModel(ModelError):
    """A model that the server does not serve."""


class RequestRefused(ModelError):
    """A request that the server finds wrong."""


class ContentFiltered(ModelError):
    """Refused or cut off by a content filter."""


class ServerBusy(ModelError):
    """Too many requests."""

    transient = True


class ServerFault(ModelError):
    """A fault of the server."""

    transient = True


class Unreachable(ModelError):
    """No connection, or no answer in time."""

    transient = True


class BrokenReply(ModelError):
    """Not what the protocol promises."""

    transient = True


def scrubbed(text: str, secret: str | None = None) -> str:
    """Take a key, and everything that looks like one, out of a text.

    >>> scrubbed("Incorrect API key provided: sk-1234567890")
    'Incorrect API key provided: sk-***'
    """
    if secret and len(secret) > 3:
        text = text.replace(secret, "***")
    return _KEY_LIKE.sub(r"\1\2***", text)


def said(body, *, secret: str | None = None) -> str:
    """What a server's error says, in one short line without a key.

    >>> said({"message": "too long", "code": 400})
    'too long'
    """
    for name in ("error", "message", "detail"):
        body = body.get(name, body) if isinstance(body, dict) else body
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    return scrubbed(" ".join(text.split()), secret)[:300]


def from_status(status: int, body, *, server, address: str, secret=None, retry_after_s=None) -> ModelError:
    """The fault that an HTTP status and its body mean; an unknown model comes without `offered`."""
    words = said(body, secret=secret)
    head = f"{server.title} at {address} answered {status}: {words}"
    code = str(body.get("code", "")) if isinstance(body, dict) else ""
    if status in (401, 403):
        return KeyRefused(f"{head}; {key_advice(server)}", status=status)
    if code in _NO_MODEL_CODES or (status in (400, 404) and _NO_MODEL.search(words)):
        return UnknownModel(head, status=status)
    if status < 500 and (_FILTER.search(code) or _FILTER.search(words)):
        return ContentFiltered(f"{head}; change the prompt or the picture", status=status)
    spent = code == "insufficient_quota" and server.kind == "openai"  # DashScope says this of tokens per minute
    if status in _BUSY and not spent:
        return ServerBusy(head, status=status, retry_after_s=retry_after_s)
    if status in _FAULTS or status >= 500:
        return ServerFault(head, status=status, retry_after_s=retry_after_s)
    if status == 404:
        return RequestRefused(f"{head}; is this the address of an OpenAI-compatible API (it usually ends in /v1)?", status=status)
    return RequestRefused(head, status=status)


def key_advice(server) -> str:
    """What to do about a key."""
    regional = " (a key belongs to one region: see DASHSCOPE_REGION)" if server.kind == "dashscope" else ""
    return f"set {server.key} in the environment to a valid key{regional}"


def unknown_model(fault: ModelError, name: str, offered: list[str] | None) -> UnknownModel:
    """Add to an unknown model's fault what the server offers, the likeliest names first.

    offered: None when the server does not say.
    """
    if not offered:
        return UnknownModel(f"{fault}; names of models retire, and this server does not list what it offers", status=fault.status)
    close = difflib.get_close_matches(name, offered, n=_SHOWN, cutoff=0.4)
    ordered = list(dict.fromkeys([*close, *(model for model in offered if "vl" in model.lower()), *offered]))
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return UnknownModel(
        f"{fault}; {name!r} is not, or no longer, served there; it offers {', '.join(ordered[:_SHOWN])}{more}",
        status=fault.status, offered=offered,
    )  # fmt: skip


def retry_after_s(value: str | None, now: float) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date; None for what is neither. Source: RFC 9110, 10.2.3.

    now: seconds since 1970.

    >>> retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", now=45.0)
    15.0
    """
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (TypeError, ValueError):
        return None
