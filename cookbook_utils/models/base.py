"""What every model can do, whatever lies behind it.

A backend is a subclass with three methods over a checked `Conversation` and complete settings: `_chat` gives one
reply, `_stream` gives its pieces, `_chat_all` gives the replies to many.
"""

from collections.abc import Iterator

from .generation import read_settings
from .messages import Conversation, question, read_messages
from .reply import Reply

_INPUTS = ("tools", "min_pixels", "max_pixels")


class Model:
    """A vision-language model behind one interface.

    spec: how it was asked for, as in `load_model`; defaults: its generation settings where a call names none.

    Every method takes generation settings by name (see `models/generation.py`: max_new_tokens, temperature, top_p,
    top_k, repetition_penalty, presence_penalty, seed, stop) and, for the input, `tools` (a list of JSON schemas, written
    by the chat template) and `min_pixels`, `max_pixels` (budget of each picture that brings none of its own).
    Raises TypeError or ValueError that names the argument, the message or the part.
    """

    spec: str
    defaults: dict

    def ask(self, prompt, images=(), video=None, *, system=None, fps=None, num_frames=None, **options) -> Reply:
        """Answer one question about pictures, a video, or neither; pictures come before the text.

        images: one picture (path, URL, data URL, PIL) or a list; video: path, URL or a list of pictures with `fps`.
        """
        return self.chat(question(prompt, images, video, system=system, fps=fps, num_frames=num_frames), **options)

    def chat(self, messages, **options) -> Reply:
        """Answer the last of the messages, see `models/messages.py` for their format."""
        conversation, settings = self._read(messages, options)
        return self._chat(conversation, settings)

    def stream(self, messages, **options) -> Iterator[str]:
        """Yield the pieces of the answer as they are written, thinking included.

        Errors in the messages are raised at once, those of the model at the piece where they happen. Closing the
        iterator early stops the model.
        """
        conversation, settings = self._read(messages, options)
        return self._stream(conversation, settings)

    def chat_batch(self, list_of_messages, *, batch_size=16, progress=True, **options) -> list[Reply]:
        """Answer many conversations, each as `chat` would; replies come in the order of the conversations.

        batch_size: how many are answered together at most, which bounds the memory; progress: show a bar when there
        is more than one batch. All pictures are loaded first, so that a bad one is found before the long wait.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number from 1, got {batch_size!r}")
        if not isinstance(list_of_messages, (list, tuple)):
            raise TypeError(f"list_of_messages: expected a list of lists of messages, got {type(list_of_messages).__name__}")
        inputs, settings = self._split(options)
        conversations = []
        for index, messages in enumerate(list_of_messages):
            try:
                conversations.append(read_messages(messages, **inputs))
            except (TypeError, ValueError, OSError) as error:
                raise type(error)(f"list_of_messages[{index}]: {error}") from error
        return self._chat_all(conversations, settings, batch_size, progress)

    def _split(self, options: dict) -> tuple[dict, dict]:
        """Options as the input's and the complete generation settings."""
        inputs = {name: value for name, value in options.items() if name in _INPUTS}
        generation = {name: value for name, value in options.items() if name not in _INPUTS}
        return inputs, read_settings(generation, self.defaults)

    def _read(self, messages, options: dict) -> tuple[Conversation, dict]:
        inputs, settings = self._split(options)
        return read_messages(messages, **inputs), settings

    def _chat(self, conversation: Conversation, settings: dict) -> Reply:
        raise NotImplementedError

    def _stream(self, conversation: Conversation, settings: dict) -> Iterator[str]:
        raise NotImplementedError

    def _chat_all(self, conversations: list[Conversation], settings: dict, batch_size: int, progress: bool) -> list[Reply]:
        raise NotImplementedError
