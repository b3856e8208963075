"""What `model.stream` gives: pieces of text, each of which says whether it is thinking, and the whole reply at the end.

    for piece in (stream := model.stream(messages)):
        print(piece, end="") if not piece.thinking else None
    stream.reply.usage

The tags `<think>` and `</think>` are not passed on. When nothing announces the thinking (a template may have written the
opening tag), pieces before `</think>` come without their mark; `reply` has it right in any case.
"""

from collections.abc import Generator, Iterable, Iterator

from .generation import unfinished
from .reply import Reply


class Piece(str):
    """A piece of an answer; `thinking` tells whether it is from before `</think>`.

    >>> Piece("two", thinking=True).thinking
    True
    """

    thinking: bool

    def __new__(cls, text: str, thinking: bool = False):
        piece = super().__new__(cls, text)
        piece.thinking = thinking
        return piece


class Stream(Iterator[Piece]):
    """Pieces of one answer in the order in which they are written; `reply` is there when they have all been read.

    pieces: a generator of pieces that returns the reply. Closing it early stops the model.
    """

    def __init__(self, pieces: Generator[Piece, None, Reply]):
        self._pieces, self._reply = pieces, None

    def __next__(self) -> Piece:
        try:
            return next(self._pieces)
        except StopIteration as end:
            self._reply = self._reply or end.value
            raise

    @property
    def reply(self) -> Reply:
        """The whole reply; RuntimeError while pieces are still to come, or when the stream broke."""
        if self._reply is None:
            raise RuntimeError("the stream has not come to its end; read its pieces first")
        return self._reply

    def close(self) -> None:
        """Stop the model; there is no reply then."""
        self._pieces.close()


def whole(pieces: Generator[Piece, None, Reply]) -> Reply:
    """Read a generator of pieces to its end, and give the reply that it returns."""
    stream = Stream(pieces)
    for _ in stream:
        pass
    return stream.reply


def as_pieces(reply: Reply) -> Generator[Piece, None, Reply]:
    """Give a finished reply as a stream of at most two pieces.

    >>> list(as_pieces(Reply("2", thinking="two of them")))
    ['two of them', '2']
    """
    for text, thinking in ((reply.thinking, True), (reply.text, False)):
        if text:
            yield Piece(text, thinking)
    return reply


def thinking_apart(texts: Iterable[str], opened: bool = False) -> Iterator[Piece]:
    """Mark the pieces of a text that are thinking, and leave the tags out.

    opened: the text begins inside the thinking, because the template wrote the opening tag.

    >>> [(piece, piece.thinking) for piece in thinking_apart(["<thi", "nk>a</", "think>b"])]
    [('a', True), ('b', False)]
    """
    held, thinking, begun = "", opened, opened
    for text in texts:
        held += text
        if not begun:
            if "<think>".startswith(held.lstrip()):
                continue
            begun, thinking = True, held.lstrip().startswith("<think>")
            held = held.lstrip().removeprefix("<think>") if thinking else held
        before, tag, after = held.partition("</think>")
        if tag:
            yield from _piece(before, thinking)
            held, thinking = after, False
        keep = unfinished(held, ["</think>"])
        yield from _piece(held[: len(held) - keep], thinking)
        held = held[len(held) - keep :]
    yield from _piece(held, thinking)


def _piece(text: str, thinking: bool) -> list[Piece]:
    return [Piece(text, thinking)] if text else []
