"""One server's API through the `openai` client: requests out, plain dicts in, every fault a ModelError.

The client's own errors know the request with its headers. They are told anew outside the handler, so that a ModelError
has neither cause nor context and no traceback can show a key. The key is read from the environment for every request and
kept nowhere. `openai` is imported by the first request.
"""

import json
import os
from collections.abc import Iterator
from functools import cached_property

from .faults import BrokenReply, ModelError, UnknownModel, Unreachable, from_status, retry_after_s, said, unknown_model
from .retry import Patience
from .servers import Server, is_local

_CONNECT_S = 15.0
_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2")  # their errors come through while an answer is read


class Connection:
    """A server at an address (to `/v1`); `who` is what messages call it."""

    def __init__(self, server: Server, address: str):
        self.server, self.address, self.who = server, address, f"{server.title} at {address}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.server.kind!r}, {self.address!r})"

    def complete(self, body: dict, patience: Patience, end: float) -> dict:
        """The answer to a request, in one piece; patience bounds its silence, `end` (of patience.clock) all of it.

        Raises ModelError.
        """
        fault, data = None, bytearray()
        create = self._client.chat.completions.with_streaming_response.create
        try:
            with create(**_arguments(body), timeout=_timeout(patience, end)) as response:
                for piece in response.iter_bytes():
                    data += piece
                    self._check_time(patience, end)
            answer = json.loads(data)
        except Exception as error:  # noqa: BLE001 - told anew below, see the module's head
            fault = self._told(error, body, patience, begun=bool(data))
        if fault is None and isinstance(answer, dict) and answer.get("error"):  # with the status of a success
            fault = self._of_body(answer["error"], body, patience)
        if fault:
            raise fault
        return answer

    def chunks(self, body: dict, patience: Patience, end: float) -> Iterator[dict]:
        """The chunks of the answer to a request, as they come. Raises ModelError."""
        fault, begun = None, False
        arguments = {**_arguments(body), "stream": True, "stream_options": {"include_usage": True}}
        try:
            with self._client.chat.completions.create(**arguments, timeout=_timeout(patience, end)) as chunks:
                for chunk in chunks:
                    yield chunk.to_dict()
                    begun = True
                    self._check_time(patience, end)
        except Exception as error:  # noqa: BLE001
            fault = self._told(error, body, patience, begun=begun)
        if fault:
            raise fault

    def models(self, patience: Patience, end: float) -> list[str]:
        """Names of the models that the server lists. Raises ModelError."""
        try:
            answer = self._client.get("/models", cast_to=object, options={"timeout": _timeout(patience, end)})
            return [str(model["id"]) for model in answer["data"]]
        except (LookupError, TypeError) as error:
            fault = BrokenReply(f"{self.who} does not list its models ({type(error).__name__}); is this the address of its API?")
        except Exception as error:  # noqa: BLE001
            fault = self._told(error, {}, patience)
        raise fault

    @cached_property
    def _client(self):
        import openai

        own = {}
        if is_local(self.address):  # a proxy knows nothing of this machine's own ports
            make = getattr(openai, "DefaultHttpx2Client", None) or openai.DefaultHttpxClient
            own["http_client"] = make(trust_env=False)
        return openai.OpenAI(base_url=self.address, api_key=self._key, max_retries=0, **own)

    def _key(self) -> str:
        return os.environ.get(self.server.key) or "none"

    def _check_time(self, patience: Patience, end: float) -> None:
        if patience.clock() > end:
            raise Unreachable(f"{self.who} was still answering after total_timeout_s={patience.total_timeout_s:g}")

    # --- faults -----------------------------------------------------------------------------------------------------

    def _told(self, error: Exception, body: dict, patience: Patience, begun: bool = False) -> Exception:
        """The ModelError for whatever went wrong on the way; an error that is none of the server's comes back as it is."""
        import openai

        if isinstance(error, ModelError):
            return error
        if isinstance(error, openai.APIStatusError):
            wait_s = retry_after_s(error.response.headers.get("retry-after"), patience.now())
            return self._of_status(error.status_code, error.body, body, patience, wait_s)
        if isinstance(error, openai.APIConnectionError) or type(error).__module__.split(".")[0] in _TRANSPORTS:
            return self._unreachable(error, begun)
        if isinstance(error, openai.APIError):  # told in the middle of a stream
            return self._of_body(error.body or error.message, body, patience)
        if isinstance(error, (ValueError, AttributeError)):
            return BrokenReply(
                f"{self.who} gave an answer that is not the protocol's JSON ({said(str(error), secret=self._key())})"
            )
        return error

    def _of_status(self, status: int, answer, body: dict, patience: Patience, wait_s: float | None = None) -> ModelError:
        fault = from_status(status, answer, server=self.server, address=self.address, secret=self._key(), retry_after_s=wait_s)
        if not isinstance(fault, UnknownModel):
            return fault
        try:
            offered = self.models(patience, patience.clock() + min(_CONNECT_S, patience.total_timeout_s))
        except ModelError:
            offered = None
        return unknown_model(fault, body.get("model", ""), offered)

    def _of_body(self, answer, body: dict, patience: Patience) -> ModelError:
        """An error inside an answer: its code is an HTTP status with some servers; else it is the server's own fault."""
        code = str(answer.get("code", "")) if isinstance(answer, dict) else ""
        return self._of_status(int(code) if code.isdigit() and 400 <= int(code) < 600 else 500, answer, body, patience)

    def _unreachable(self, error: Exception, begun: bool) -> ModelError:
        late = "Timeout" in type(error).__name__
        if begun:
            how = "fell silent" if late else "broke off"
            return BrokenReply(f"{self.who} {how} in the middle of its answer")
        if late:
            return Unreachable(f"{self.who} did not answer in time; is it still loading, or is timeout_s too short?")
        cause = error.__cause__ or error
        return Unreachable(
            f"{self.who} cannot be reached ({said(str(cause) or type(cause).__name__, secret=self._key())}); is it running?"
        )


def _arguments(body: dict) -> dict:
    """A body as the client's arguments: what the protocol itself does not know goes through as it is."""
    more = {name: value for name, value in body.items() if name not in ("model", "messages")}
    return {"model": body["model"], "messages": body["messages"], "extra_body": more}


def _timeout(patience: Patience, end: float):
    import openai

    left = max(0.001, min(patience.timeout_s, end - patience.clock()))
    return openai.Timeout(left, connect=min(_CONNECT_S, left))
