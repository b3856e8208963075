"""One way to get a model: `load_model()`. One file per way to reach it, one message format, one kind of reply.

    messages.py    the message format: checks, pictures and videos loaded
    media.py       pictures and videos from paths, URLs, data URLs
    generation.py  generation settings and their published values
    reply.py       what comes back
    base.py        ask, chat, stream, chat_batch
    local.py       weights on this machine (transformers); weights.py brings them into memory

Which model: the argument, else the environment variable COOKBOOK_MODEL, else `tiny`. torch is imported by the first
model that needs it.
"""

import logging
import os
import weakref
from functools import cache
from pathlib import Path

from .base import Model
from .reply import Reply

__all__ = ["Model", "Reply", "load_model"]

TINY_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "tiny"
_FORMS = {
    "tiny": "the small checkpoint of this repository",
    "transformers:NAME_OR_PATH": "weights on this machine or on the Hugging Face Hub",
    "dashscope:NAME": "Alibaba Cloud's API",
    "vllm:URL": "a vLLM server",
    "sglang:URL": "an SGLang server",
    "openai:NAME@URL": "any server with OpenAI's API",
}
_WORKING = ("tiny", "transformers:NAME_OR_PATH")
# Models that somebody still holds, by spec: a cell that runs twice loads once, and nothing is kept for its own sake.
_loaded: "weakref.WeakValueDictionary[str, Model]" = weakref.WeakValueDictionary()


def load_model(spec: str | None = None) -> Model:
    """Load the model that a spec names; with none, the one in COOKBOOK_MODEL; without that, `tiny`.

    spec: `tiny`, `transformers:NAME_OR_PATH`; in later versions also `dashscope:NAME`, `vllm:URL`, `sglang:URL`,
    `openai:NAME@URL`. As long as a model is held somewhere, the same spec gives that one again.
    Raises ValueError for another spec, NotImplementedError for one that comes later, OSError when weights cannot be
    had, MemoryError when they do not fit.

    >>> load_model("no-such-model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: spec: 'no-such-model' is not one of tiny (the small checkpoint of this repository), ...
    """
    spec, origin = _chosen(spec)
    kind, name = _parsed(spec, origin)
    if kind not in ("tiny", "transformers"):
        raise NotImplementedError(f"{origin}: {spec!r} is not available yet in this version; what works: {', '.join(_WORKING)}")
    if (model := _loaded.get(spec)) is None:
        model = _loaded[spec] = _tiny() if kind == "tiny" else _local(name, spec, origin)
    return model


def _chosen(spec) -> tuple[str, str]:
    """The spec and where it came from."""
    if spec is not None:
        if not isinstance(spec, str):
            raise TypeError(f"spec: expected a text such as 'tiny', got {type(spec).__name__}")
        return spec.strip(), "spec"
    found = os.environ.get("COOKBOOK_MODEL", "").strip()
    return (found, "COOKBOOK_MODEL") if found else ("tiny", "spec")


def _parsed(spec: str, origin: str) -> tuple[str, str]:
    """Kind and name of a spec.

    >>> _parsed("transformers:Qwen/Qwen3-VL-4B-Instruct", "spec")
    ('transformers', 'Qwen/Qwen3-VL-4B-Instruct')
    """
    kind, colon, name = spec.partition(":")
    forms = {form.partition(":")[0]: form for form in _FORMS}
    if kind not in forms or bool(colon) != (":" in forms[kind]) or bool(name.strip()) != bool(colon):
        known = ", ".join(f"{form} ({what})" for form, what in _FORMS.items())
        hint = f"; did you mean transformers:{spec}?" if "/" in spec and not colon else ""
        raise ValueError(f"{origin}: {spec!r} is not one of {known}{hint}")
    return kind, name.strip()


def _tiny() -> Model:
    if not (TINY_FOLDER / "config.json").is_file():
        raise FileNotFoundError(
            f"the embedded checkpoint is not in {TINY_FOLDER}: use a complete clone of the repository, or train it with "
            "python -m cookbook_utils.tiny.train, or name another model (transformers:NAME_OR_PATH)"
        )
    import torch

    from .local import LocalModel

    _say_what_tiny_knows()
    return LocalModel(str(TINY_FOLDER), spec="tiny", device="cpu", dtype=torch.float32, quiet=True)


@cache  # once per process
def _say_what_tiny_knows() -> None:
    logging.getLogger(__name__).warning(
        "tiny knows the synthetic pictures of this repository and nothing else; for your own, name a real model, "
        "such as load_model('transformers:Qwen/Qwen3-VL-4B-Instruct')."
    )


def _local(name: str, spec: str, origin: str) -> Model:
    folder = Path(name).expanduser()
    path_like = name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name
    if path_like and not folder.is_dir():
        raise FileNotFoundError(f"{origin}: no such folder: {name}")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{origin}: expected a folder with a checkpoint, but {name} has no config.json")
    from .local import LocalModel

    return LocalModel(str(folder) if folder.is_dir() else name, spec=spec)
