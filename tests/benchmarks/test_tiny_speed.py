"""What the embedded model costs on two cores: loading, an answer of 100 tokens, 16 conversations together or one by one.

Each row stands beside a peer of the same run: transformers' own calls on the same weights, or single calls. No time is
asserted: compare the rows of a group. Aims, on two cores that do nothing else: an answer under 1.5 s, loading under 5 s,
and 16 conversations together in a third of the time of 16 calls.

    python -m pytest tests/benchmarks/test_tiny_speed.py --benchmark-only
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cookbook_utils.models import TINY_FOLDER, load_model
from cookbook_utils.models.messages import read_messages
from cookbook_utils.tiny.scenes import HELD_OUT, render_scene

ROOT = Path(__file__).parents[2]
CORES, TOKENS, CONVERSATIONS = 2, 100, 16
QUESTION = "Locate every object in the image. Report bbox coordinates in JSON format."
LOADING = {
    "transformers": "from transformers import AutoModelForImageTextToText as M, AutoProcessor as P; "
    f"M.from_pretrained({str(TINY_FOLDER)!r}); P.from_pretrained({str(TINY_FOLDER)!r})",
    "load_model": "from cookbook_utils import load_model; load_model('tiny')",
}


@pytest.fixture(scope="module")
def model():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield load_model("tiny")
    torch.set_num_threads(before)


def conversations(count: int) -> list[list[dict]]:
    """Questions about scenes of six things, whose answers have more than 100 tokens."""
    scenes = [render_scene(np.random.default_rng([HELD_OUT, 40, index]), size=(256, 288), count=6) for index in range(count)]
    content = [[{"type": "image", "image": scene.image}, {"type": "text", "text": QUESTION}] for scene in scenes]
    return [[{"role": "user", "content": parts}] for parts in content]


# --- an answer of 100 tokens ------------------------------------------------------------------


@pytest.mark.benchmark(group="an answer of 100 tokens")
def test_peer_plain_generate(benchmark, model):
    import torch

    inputs = model._inputs([read_messages(conversations(1)[0])])

    def generate():
        with torch.inference_mode():
            return model.network.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)

    written = benchmark.pedantic(generate, rounds=3, warmup_rounds=1)
    assert written.shape[1] - inputs["input_ids"].shape[1] == TOKENS


@pytest.mark.benchmark(group="an answer of 100 tokens")
def test_chat(benchmark, model):
    [messages] = conversations(1)
    reply = benchmark.pedantic(model.chat, args=(messages,), kwargs={"max_new_tokens": TOKENS}, rounds=3, warmup_rounds=1)
    assert reply.usage["completion_tokens"] == TOKENS


# --- 16 conversations -------------------------------------------------------------------------


@pytest.mark.benchmark(group="16 conversations")
def test_peer_single_calls(benchmark, model):
    asked = conversations(CONVERSATIONS)
    replies = benchmark.pedantic(lambda: [model.chat(messages) for messages in asked], rounds=1, warmup_rounds=0)
    assert all(reply.finish_reason == "stop" for reply in replies)


@pytest.mark.benchmark(group="16 conversations")
def test_chat_batch(benchmark, model):
    asked = conversations(CONVERSATIONS)
    replies = benchmark.pedantic(model.chat_batch, args=(asked,), kwargs={"batch_size": CONVERSATIONS}, rounds=3, warmup_rounds=1)
    assert len(replies) == CONVERSATIONS and all(reply.finish_reason == "stop" for reply in replies)


# --- loading ----------------------------------------------------------------------------------


@pytest.mark.benchmark(group="loading in a fresh interpreter")
@pytest.mark.parametrize("way", LOADING)
def test_loading(benchmark, way):
    run = [sys.executable, "-c", LOADING[way]]
    benchmark.pedantic(subprocess.run, args=(run,), kwargs={"cwd": ROOT, "check": True}, rounds=3, warmup_rounds=1)
