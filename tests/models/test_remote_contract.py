"""One conversation, two ways: the embedded model in this process, and the same model behind OpenAI's protocol."""

import threading

import pytest
from faulty_server import answers, chunk, completion, streams
from PIL import Image, ImageDraw

TEXT = {"type": "text", "text": "Where is the cat? Answer in JSON."}
SHORT = {"max_new_tokens": 8, "temperature": 0}


def scene(color, size=(160, 128)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((30, 20, 100, 90), fill=color)
    return image


CONVERSATIONS = {
    "text": [{"role": "user", "content": "Hello"}],
    "a picture": [{"role": "user", "content": [{"image": scene("red")}, TEXT]}],
    "several pictures": [{"role": "user", "content": [{"image": scene("red")}, {"image": scene("blue", (96, 200))}, TEXT]}],
    "a picture with a budget": [{"role": "user", "content": [{"image": scene("red"), "max_pixels": 20_000, "min_pixels": 16_384}, TEXT]}],
    "system and turns": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"image": scene("red")}, TEXT]},
        {"role": "assistant", "content": "[]"}, {"role": "user", "content": "And the dog?"},
    ],
}  # fmt: skip


def embedded(model):
    """Answers as a vLLM server would that serves this model."""
    alone = threading.Lock()

    def act(handler, body):
        options = {"max_new_tokens": body["max_tokens"], "temperature": body["temperature"], **body.get("mm_processor_kwargs", {})}
        with alone:
            if body.get("stream"):
                stream = model.stream(body["messages"], **options)
                pieces = [chunk({"content": str(piece)}) for piece in stream]
                reply = stream.reply
            else:
                reply = model.chat(body["messages"], **options)
        if body.get("stream"):
            streams(*pieces, chunk({}, reason=reply.finish_reason), chunk(usage=usage(reply)))(handler, body)
        else:
            answers(completion(reply.text, reason=reply.finish_reason, usage=usage(reply)))(handler, body)

    return act


def usage(reply) -> dict:
    return {**reply.usage, "prompt_tokens_details": {"image_tokens": reply.usage["image_tokens"]}}


@pytest.fixture
def remote(server, at, model):
    """The embedded model behind the server."""
    server.script = [embedded(model)]
    return at("vllm")


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_same_answer_both_ways(model, remote, name):
    here, there = model.chat(CONVERSATIONS[name], **SHORT), remote.chat(CONVERSATIONS[name], **SHORT)
    assert (here.text, here.usage, here.finish_reason) == (there.text, there.usage, there.finish_reason)


def test_the_same_stream_both_ways(model, remote):
    here, there = (one.stream(CONVERSATIONS["a picture"], **SHORT) for one in (model, remote))
    assert "".join(here) == "".join(there)
    assert (here.reply.text, here.reply.usage) == (there.reply.text, there.reply.usage)


def test_the_same_batch_both_ways(model, remote):
    chats = list(CONVERSATIONS.values())
    here, there = (one.chat_batch(chats, **SHORT) for one in (model, remote))
    assert [reply.text for reply in here] == [reply.text for reply in there]


@pytest.mark.parametrize(("arguments", "options", "error"), [
    ((5,), {}, TypeError), (("a", [None]), {}, TypeError), (("a", ["none.png"]), {}, FileNotFoundError), (("a",), {"top_p": 2}, ValueError),
    (("a",), {"tools": "key"}, TypeError), (("<|image_pad|>",), {}, ValueError), (("a",), {"video": __file__}, ValueError),
])
def test_the_same_error_both_ways(model, remote, arguments, options, error):
    messages = []
    for one in (model, remote):
        with pytest.raises(error) as caught:
            one.ask(*arguments, **options)
        messages.append(str(caught.value).partition(";")[0].partition(" (")[0])
    assert messages[0] == messages[1]
