"""Streams: thinking marked, tags left out, the reply at the end."""

import pytest

from cookbook_utils.models.reply import Reply
from cookbook_utils.models.stream import Piece, Stream, as_pieces, thinking_apart


def apart(texts, opened=False) -> tuple[str, str]:
    """Thinking and answer of a stream."""
    pieces = list(thinking_apart(texts, opened))
    return "".join(p for p in pieces if p.thinking), "".join(p for p in pieces if not p.thinking)


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize(("text", "opened", "thinking", "answer", "reason"), [
    ("two cats", False, "", "two cats", "an instruct model"),
    ("<think>a b</think>c", False, "a b", "c", "both tags"),
    ("\n<think>\na</think>c", False, "\na", "c", "space before the tag"),
    ("a</think>c", True, "a", "c", "the template wrote the opening tag"),
    ("a </thin", True, "a </thin", "", "cut off while thinking"),
    ("<thinner> than", False, "", "<thinner> than", "another tag"),
    ("", False, "", "", "nothing"),
])
def test_thinking_is_marked_however_the_text_is_cut(text, opened, thinking, answer, reason, size):
    texts = [text[at : at + size] for at in range(0, len(text), size)]
    assert apart(texts, opened) == (thinking, answer), reason


def test_the_reply_is_there_at_the_end_and_not_before():
    stream = Stream(as_pieces(Reply("2", thinking="two")))
    assert next(stream) == "two"
    with pytest.raises(RuntimeError, match="has not come to its end"):
        _ = stream.reply
    assert list(stream) == ["2"] and stream.reply.text == "2" and list(stream) == []


def test_closing_reaches_the_model():
    closed = []

    def pieces():
        try:
            yield Piece("a")
        finally:
            closed.append(True)

    stream = Stream(pieces())
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_local_stream_ends_in_the_reply(model):
    chat = [{"role": "user", "content": "Hello"}]
    stream, reply = model.stream(chat, max_new_tokens=6), model.chat(chat, max_new_tokens=6)
    assert "".join(stream).strip() == reply.text
    assert (stream.reply.text, stream.reply.usage, stream.reply.finish_reason) == (reply.text, reply.usage, reply.finish_reason)
