"""What every model can do, whatever lies behind it.

A backend is a subclass with a few methods over a checked `Conversation` and complete settings: `_chat` gives one reply,
`_stream` its pieces and then the reply, `_chat_all` the replies to many as they finish, `_identity` what the reply cache
knows the model by. The cache (`models/cache.py`) stands in front of all of them.
"""

from collections.abc import Generator, Iterator
from typing import ClassVar

from .batch import answer_all
from .cache import ReplyCache, describe, open_cache
from .generation import read_settings
from .media import Media
from .messages import Conversation, question, read_messages
from .reply import Reply
from .stream import Piece, Stream, as_pieces

_INPUTS = ("tools", "min_pixels", "max_pixels")


class Model:
    """A vision-language model behind one interface.

    spec: how it was asked for, as in `load_model`; defaults: its generation settings where a call names none.

    Every method takes generation settings by name (see `models/generation.py`: max_new_tokens, temperature, top_p,
    top_k, repetition_penalty, presence_penalty, seed, stop; servers take more) and, for the input, `tools` (a list of
    JSON schemas, written by the chat template) and `min_pixels`, `max_pixels` (budget of each picture that brings none
    of its own). Raises TypeError or ValueError that names the argument, the message or the part; ModelError when a
    server does not answer (see `models/faults.py`).
    """

    spec: str
    defaults: dict
    _media = Media
    _more_settings: ClassVar[dict] = {}

    def ask(self, prompt, images=(), video=None, *, system=None, fps=None, num_frames=None, **options) -> Reply:
        """Answer one question about pictures, a video, or neither; pictures come before the text.

        images: one picture (path, URL, data URL, PIL) or a list; video: path, URL or a list of pictures with `fps`.
        """
        messages = question(prompt, images, video, system=system, fps=fps, num_frames=num_frames, media=self._media)
        return self.chat(messages, **options)

    def chat(self, messages, **options) -> Reply:
        """Answer the last of the messages, see `models/messages.py` for their format."""
        conversation, settings = self._read(messages, options)
        if (cache := open_cache()) is None:
            return self._chat(conversation, settings)
        request = describe(self._identity(cache), conversation, settings)
        if found := cache.find(request):
            return found[0]
        reply = self._chat(conversation, settings)
        cache.keep(request, reply)
        return reply

    def stream(self, messages, **options) -> Stream:
        """Give the pieces of the answer as they are written, each marked as thinking or not; then `.reply` is there.

        Errors in the messages are raised at once, those of the model at the piece where they happen. Closing the
        stream early stops the model.
        """
        conversation, settings = self._read(messages, options)
        if (cache := open_cache()) is None:
            return Stream(self._stream(conversation, settings))
        request = describe(self._identity(cache), conversation, settings)
        if found := cache.find(request):
            return Stream(_again(*found))
        return Stream(cache.recorded(request, self._stream(conversation, settings)))

    def chat_batch(
        self, list_of_messages, *, batch_size=16, concurrency=None, progress=True, journal=None, **options
    ) -> list[Reply]:
        """Answer many conversations, each as `chat` would; replies come in the order of the conversations.

        batch_size: how many a model on this machine answers together at most, which bounds the memory; concurrency: how
        many requests are under way at a server (default by its kind); progress: show a bar when there is more than
        one batch; journal: a file in which each reply is noted at once, with which a later call goes on. All
        pictures are loaded first, so that a bad one is found before the long wait.
        Raises BatchError when requests failed: it has the finished replies and, by index, the errors.
        """
        for name, value in (("batch_size", batch_size), ("concurrency", 1 if concurrency is None else concurrency)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, got {value!r}")
        conversations, settings = self._read_all(list_of_messages, options)
        return answer_all(
            len(conversations),
            lambda index: describe(self._identity(open_cache()), conversations[index], settings),
            lambda indices: self._chat_all([conversations[i] for i in indices], settings, batch_size, concurrency),
            journal=journal,
            progress=progress and len(conversations) > batch_size,
        )

    def check_settings(self, **options) -> None:
        """Raise what a call with these settings would raise for them, without a call."""
        self._split(options)

    def _read_all(self, list_of_messages, options: dict) -> tuple[list[Conversation], dict]:
        if not isinstance(list_of_messages, (list, tuple)):
            raise TypeError(f"list_of_messages: expected a list of lists of messages, got {type(list_of_messages).__name__}")
        inputs, settings = self._split(options)
        conversations = []
        for index, messages in enumerate(list_of_messages):
            try:
                conversations.append(read_messages(messages, media=self._media, **inputs))
            except (TypeError, ValueError, OSError) as error:
                raise type(error)(f"list_of_messages[{index}]: {error}") from error
        return conversations, settings

    def _split(self, options: dict) -> tuple[dict, dict]:
        """Options as the input's and the complete generation settings."""
        inputs = {name: value for name, value in options.items() if name in _INPUTS}
        generation = {name: value for name, value in options.items() if name not in _INPUTS}
        return inputs, read_settings(generation, self.defaults, self._more_settings)

    def _read(self, messages, options: dict) -> tuple[Conversation, dict]:
        inputs, settings = self._split(options)
        return read_messages(messages, media=self._media, **inputs), settings

    def _identity(self, cache: ReplyCache | None) -> str:
        raise NotImplementedError

    def _chat(self, conversation: Conversation, settings: dict) -> Reply:
        raise NotImplementedError

    def _stream(self, conversation: Conversation, settings: dict) -> Generator[Piece, None, Reply]:
        raise NotImplementedError

    def _chat_all(
        self, conversations: list[Conversation], settings: dict, batch_size: int, concurrency: int | None
    ) -> Iterator[tuple[int, Reply | Exception]]:
        """Give `(index, reply or exception)` in the order in which they finish."""
        raise NotImplementedError


def _again(reply: Reply, pieces: list[Piece]) -> Generator[Piece, None, Reply]:
    """A stream from the cache: in its pieces, or in two when it was not streamed then."""
    yield from pieces or as_pieces(reply)
    return reply
