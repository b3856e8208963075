"""A model behind a server that speaks OpenAI's protocol: vLLM, SGLang, DashScope and others are this one class.

What differs between servers stands in `servers.py`, what is sent and read in `protocol.py`, how in `connection.py`, what
goes wrong in `faults.py`, and how long it is borne in `retry.py`.

A setting that neither the call nor `load_model` names is not sent, so that the server's own default counts. vLLM and
SGLang take it from the checkpoint's generation_config.json; for Qwen3-VL that has no presence_penalty, while the model
card recommends 1.5 for Instruct models.
"""

import functools
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain

from .base import Model
from .batch import in_parallel
from .cache import replaying
from .connection import Connection
from .faults import BrokenReply, KeyRefused, ModelError, RequestRefused, UnknownModel, key_advice
from .generation import SERVER_RANGES, pieces_until, read_settings
from .messages import Conversation
from .pictures import load_picture
from .protocol import Heard, read_completion, request_body
from .reply import Reply
from .retry import Patience
from .servers import Server
from .stream import Piece, Stream, thinking_apart, whole
from .videos import for_others, load_source

_UNTRUSTED = "trust-request-mm-kwargs"  # the flag without which vLLM refuses mm_processor_kwargs and media_io_kwargs


class ServerMedia:
    """Takes pictures and videos in as they are: they are encoded when they are sent."""

    image = staticmethod(load_picture)
    video = staticmethod(load_source)


class RemoteModel(Model):
    """A model that a server has.

    server: the kind; address: of its API, to `/v1`; name: of the model, asked of the server when None.
    settings: generation settings of every call that names none, timeout_s and total_timeout_s among them.
    Raises KeyRefused when the server wants a key and the environment has none.
    """

    _media = ServerMedia
    _more_settings = SERVER_RANGES

    def __init__(
        self, server: Server, address: str, name: str | None = None, *, spec: str, patience: Patience | None = None, **settings
    ):
        self.server, self.address, self.spec, self.patience = server, address, spec, patience or Patience()
        self._connection, self._name, self._tools_in_text = Connection(server, address), name, False
        given = read_settings(settings, {}, SERVER_RANGES)
        self.defaults = {setting: value for setting, value in given.items() if value not in (None, [])}
        if server.key_required and not os.environ.get(server.key) and not replaying():
            raise KeyRefused(f"{server.title} needs a key, and {server.key} is not set; {key_advice(server)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r}, name={self._name!r})"

    @property
    def name(self) -> str:
        """The model's name at the server; the first that it lists, when none was given."""
        if self._name is None:
            offered = self.patience.run(lambda end: self._connection.models(self.patience, end))
            if not offered:
                raise UnknownModel(f"{self._connection.who} lists no model")
            self._name = offered[0]
        return self._name

    def _identity(self, cache) -> str:
        if self.server.kind == "openai":
            return self.spec
        if self._name is None and cache is not None:
            self._name = cache.name_at(f"{self.server.kind}:{self.address}", lambda: self.name)
        return f"{self.server.kind}:{self.name}"

    def _chat(self, conversation: Conversation, settings: dict) -> Reply:
        return self._answer(self._body(conversation, settings), settings)

    def _stream(self, conversation: Conversation, settings: dict) -> Generator[Piece, None, Reply]:
        body = self._body(conversation, settings)
        body(self.server.budgets)  # what is wrong with it is raised at once
        return self._begun(body, settings)

    def _chat_all(self, conversations, settings, batch_size, concurrency) -> Iterator[tuple[int, Reply | Exception]]:
        workers = concurrency or self.server.concurrency
        _ = self.name  # asked for once, before the threads begin
        yield from in_parallel(lambda index: self._chat(conversations[index], settings), len(conversations), workers)

    def _body(self, conversation: Conversation, settings: dict) -> Callable[[str], dict]:
        """Writes the request's body once for each way to bound pictures (`Server.budgets`)."""
        return functools.cache(lambda budgets: request_body(self.server, self.name, conversation, settings))

    def _patience(self, settings: dict) -> Patience:
        return replace(self.patience, **{name: settings[name] for name in ("timeout_s", "total_timeout_s") if settings.get(name)})

    @property
    def _thinks(self) -> bool:
        """Whether the model is one that thinks before every answer, by its name."""
        return "thinking" in self.name.lower()

    def _answer(self, body: Callable[[str], dict], settings: dict) -> Reply:
        """The whole reply; DashScope gives some of those with thinking in a stream only."""
        patience = self._patience(settings)
        if self.server.kind == "dashscope" and (settings.get("enable_thinking") or self._thinks):
            return patience.run(lambda end: self._sent(body, lambda sent: whole(self._pieces(sent, settings, patience, end))))
        return patience.run(lambda end: self._sent(body, lambda sent: self._complete(sent, settings, patience, end)))

    def _sent(self, body: Callable[[str], dict], send: Callable):
        """Send a body; when the server takes no settings for pictures and videos, once more without them."""
        budgets = self.server.budgets
        try:
            return self._sent_with_tools(body(budgets), send)
        except RequestRefused as refused:
            if _UNTRUSTED not in str(refused) or budgets != "request":
                raise
        self.server = replace(self.server, budgets="here", video=for_others)
        logging.getLogger(__name__).warning(
            "%s is not started with --%s: pictures are resized here, and a video is sent as pictures with their times",
            self._connection.who, _UNTRUSTED,
        )  # fmt: skip
        return self._sent_with_tools(body("here"), send)

    def _sent_with_tools(self, body: dict, send: Callable):
        """Send a body; when the server has no parser for tool calls, once more so that they come as text."""
        if "tools" in body and not self._tools_in_text:
            try:
                return send(body)
            except RequestRefused as refused:
                if "tool-call-parser" not in str(refused):
                    raise
            self._tools_in_text = True
        return send({**body, "tool_choice": "none"} if "tools" in body else body)

    def _complete(self, body: dict, settings: dict, patience: Patience, end: float) -> Reply:
        """One try of a request that is answered in one piece."""
        began = time.perf_counter()
        answer = self._connection.complete(body, patience, end)
        return self._read_reply(answer, settings, began)

    def _read_reply(self, completion: dict, settings: dict, began: float) -> Reply:
        try:
            return read_completion(completion, settings, time.perf_counter() - began, thinks=self._thinks)
        except ModelError as error:
            fault = error
        raise fault.named(f"{self._connection.who} gave {fault}")

    def _begun(self, body: Callable[[str], dict], settings: dict) -> Generator[Piece, None, Reply]:
        """A stream that is begun anew after a fault, as long as nothing of it has come."""
        patience = self._patience(settings)

        def begin(sent, end):
            stream = Stream(self._pieces(sent, settings, patience, end))
            return stream, next(stream, None)

        stream, first = patience.run(lambda end: self._sent(body, lambda sent: begin(sent, end)))
        if first is not None:
            yield first
            yield from stream
        return stream.reply

    def _pieces(self, body: dict, settings: dict, patience: Patience, end: float) -> Generator[Piece, None, Reply]:
        """One try of a request that is answered in a stream."""
        began, heard, fault = time.perf_counter(), Heard(), None
        try:
            with closing(self._connection.chunks(body, patience, end)) as chunks:
                yield from self._marked(map(heard.add, chunks), settings)
        except ModelError as error:
            fault = error
        if fault is None and heard.reason is None:
            fault = BrokenReply(f"{self._connection.who} cut its answer off before the end")
        if fault:
            fault.partial = fault.partial or heard.text
            raise fault
        if tools := heard.tool_text():
            yield Piece(("\n" if heard.text else "") + tools)
        return self._read_reply(heard.completion(), settings, began)

    def _marked(self, deltas: Iterator[tuple[str, str]], settings: dict) -> Iterator[Piece]:
        """Pieces of the thinking, from its own field or out of the text, then of the answer up to a stop text."""
        told = False
        for thinking, text in deltas:
            if thinking:
                told = True
                yield Piece(thinking, thinking=True)
            if text:
                texts = chain([text], (more for _, more in deltas if more))
                yield from thinking_apart(pieces_until(texts, settings["stop"]), opened=self._thinks and not told)
                break
        for _ in deltas:  # what comes after a stop text, with the usage
            pass
