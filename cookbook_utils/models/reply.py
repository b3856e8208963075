"""What a model answers, the same from every backend."""

from dataclasses import dataclass, field

from ..parsing import parse_tool_calls, split_thinking


@dataclass(frozen=True)
class Reply:
    """One answer of a model; `str(reply)` is its text.

    text: the answer without the thinking, tool calls included as the model wrote them.
    thinking: what a thinking model wrote before `</think>`, else "".
    tool_calls: `[{"name": str, "arguments": dict}]`, read from the text.
    usage: token counts `prompt_tokens` (visual ones included), `completion_tokens`, `image_tokens` (pictures and videos);
    None where a server does not tell.
    seconds: time it took; in a batch on this machine, the batch's time divided by its replies; from the cache, as it was.
    finish_reason: "stop" when the model ended its turn, "length" when its tokens ran out.
    """

    text: str
    thinking: str = ""
    tool_calls: list = field(default_factory=list)
    usage: dict = field(default_factory=dict)
    seconds: float = 0.0
    finish_reason: str = "stop"

    @classmethod
    def read(cls, written: str, *, usage: dict, seconds: float, finish_reason: str) -> "Reply":
        """Make a reply of all that a model wrote: thinking split off, tool calls read; never raises on text.

        >>> reply = Reply.read("two of them</think>2", usage={}, seconds=0.1, finish_reason="stop")
        >>> str(reply), reply.thinking
        ('2', 'two of them')
        """
        thinking, text = split_thinking(written)
        return cls(text, thinking, parse_tool_calls(text), usage, seconds, finish_reason)

    def __str__(self) -> str:
        return self.text
