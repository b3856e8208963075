"""The model that these tests ask: the embedded checkpoint, or one of the same shape with random weights."""

from pathlib import Path

import numpy as np
import pytest
from faulty_server import at, clock, server  # noqa: F401 - fixtures of every test here
from PIL import Image

ASSET = Path(__file__).resolve().parents[2] / "assets" / "tiny"


def byte_tokenizer():
    """A tokenizer of single bytes with the embedded model's special tokens: nothing to train."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from cookbook_utils.tiny.tokenizer import SPECIAL, VISIBLE

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in VISIBLE])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Folder of the embedded checkpoint, or of one with random weights where there is none."""
    if (ASSET / "model.safetensors").is_file():
        return ASSET
    from cookbook_utils.tiny.model import new_model
    from cookbook_utils.tiny.tokenizer import build_processor
    from cookbook_utils.tiny.train import save_checkpoint

    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    tokenizer = byte_tokenizer()
    save_checkpoint(new_model(tokenizer, seed=1), build_processor(tokenizer), folder)
    return folder


@pytest.fixture(scope="session")
def model(checkpoint):
    """The checkpoint as `load_model("tiny")` gives it; held for the session, so that it is loaded once."""
    from cookbook_utils import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "TINY_FOLDER", checkpoint)
        yield models.load_model("tiny")


@pytest.fixture
def picture() -> Image.Image:
    """A picture of 96 x 64 pixels in which every pixel differs from its mirror image."""
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    return Image.fromarray(np.stack([x * 2, y * 3, (x + y) % 256], axis=2).astype(np.uint8))


@pytest.fixture
def write(model, monkeypatch):
    """Makes the model write given texts: `write("a</think>b", ended=True)`, one text for each row of a batch."""
    import torch

    def script(*texts, ended=True):
        tail = [model.tokenizer.eos_token_id] if ended else []
        rows = [model.tokenizer.encode(text, add_special_tokens=False) + tail for text in texts]
        longest = max(map(len, rows))
        new = torch.tensor([row + [model.tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
        monkeypatch.setattr(model.network, "generate", lambda input_ids, **_: torch.cat([input_ids, new], dim=1))

    return script
