"""64 pictures on a real vLLM server: all at once with `chat_batch` beside one by one, in one run.

The claim is a ratio of 3. No time is asserted: compare the rows of the group, whose numbers in brackets are the ratios.

    python -m pytest tests/benchmarks/test_serving_speed.py --benchmark-only
"""

import pytest
from PIL import Image

from cookbook_utils import load_model

COUNT = 64
LOCATE = {"type": "text", "text": "Locate every object in the image. Report bbox coordinates in JSON format."}


@pytest.fixture(scope="module")
def served(vllm_url):
    model = load_model(f"vllm:{vllm_url}")
    model.ask("Hello", max_new_tokens=1)
    return model


def chats(root, turn: int) -> list[list[dict]]:
    """64 conversations, each about a picture of its own; another turn has others, so that the server has none of them."""
    files = sorted((root / "assets" / "pictures").glob("s*.png"))[:COUNT]
    pictures = [Image.open(file).convert("RGB") for file in files]
    for picture in pictures:
        picture.putpixel((0, 0), (turn, 0, 0))
    return [[{"role": "user", "content": [{"type": "image", "image": picture}, LOCATE]}] for picture in pictures]


@pytest.mark.benchmark(group=f"{COUNT} pictures on vLLM")
def test_one_by_one(benchmark, served, root):
    ask = lambda made: [served.chat(chat) for chat in made]  # noqa: E731
    assert len(benchmark.pedantic(ask, setup=lambda: ((chats(root, 1),), {}), rounds=1)) == COUNT


@pytest.mark.benchmark(group=f"{COUNT} pictures on vLLM")
def test_all_at_once(benchmark, served, root):
    ask = lambda made: served.chat_batch(made, progress=False)  # noqa: E731
    assert len(benchmark.pedantic(ask, setup=lambda: ((chats(root, 2),), {}), rounds=1)) == COUNT
