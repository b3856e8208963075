"""One way to get a model: `load_model()`. One file per way to reach it, one message format, one kind of reply.

    messages.py    the message format: checks, pictures and videos loaded
    media.py       pictures and videos from paths, URLs, data URLs
    generation.py  generation settings and their published values
    reply.py       what comes back; stream.py, piece by piece
    base.py        ask, chat, stream, chat_batch
    checkpoint.py  a checkpoint's prompts, pictures and replies; local.py, with its weights on this machine
                   (transformers), which weights.py brings into memory; batch/engine.py, with them on a cluster (vLLM)
    remote.py      a model behind a server (openai); servers.py says where each stands and how it differs,
                   protocol.py what is sent and read, connection.py how, pictures.py and videos.py what of pictures and
                   videos; faults.py what goes wrong, retry.py how long that is borne
    experts.py     the embedded model's checkpoints behind one name
    batch.py       many conversations; journal.py, so that they can be resumed
    cache.py       replies kept on disk

Each setting comes from the first of these that names it:

    setting                        argument                        environment                              else
    which model                    spec                            COOKBOOK_MODEL                           tiny
    a server's key                 (never)                         DASHSCOPE_API_KEY, OPENAI_API_KEY,       none
                                                                   VLLM_API_KEY, SGLANG_API_KEY
    DashScope's address            base_url of load_model          DASHSCOPE_BASE_URL                       by region
    its region, its workspace      region, workspace               DASHSCOPE_REGION, DASHSCOPE_WORKSPACE_ID cn, none
    generation, time limits        of the call, then of load_model (none)                                   the model's
    the reply cache                (none)                          COOKBOOK_CACHE, COOKBOOK_CACHE_MODE      none

torch is imported by the first model that needs it, openai by the first request.
"""

import functools
import logging
import os
import re
import weakref
from pathlib import Path

from .base import Model
from .batch import BatchError
from .cache import CacheMiss
from .faults import ModelError
from .reply import Reply
from .servers import SERVERS, api_address, dashscope_address, split_name

__all__ = ["BatchError", "CacheMiss", "Model", "ModelError", "Reply", "load_model"]

TINY_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "tiny"
_FORMS = {
    "tiny": "the small checkpoint of this repository",
    "transformers:NAME_OR_PATH": "weights on this machine or on the Hugging Face Hub",
    "dashscope:NAME": "Alibaba Cloud's API",
    "vllm:URL": "a vLLM server",
    "sglang:URL": "an SGLang server",
    "openai:NAME@URL": "any server with OpenAI's API",
}
# Models that somebody still holds, by spec: a cell that runs twice loads once, and nothing is kept for its own sake.
_loaded: "weakref.WeakValueDictionary[str, Model]" = weakref.WeakValueDictionary()


def load_model(spec: str | None = None, **options) -> Model:
    """Load the model that a spec names; with none, the one in COOKBOOK_MODEL; without that, `tiny`.

    spec: `tiny`, `transformers:NAME_OR_PATH`, `dashscope:NAME`, `vllm:URL`, `sglang:URL` (both also NAME@URL, where
    several models are served), `openai:NAME@URL`; a URL with or without `/v1`. As long as a model is held somewhere, the
    same spec with the same options gives that one again.
    options: of servers only: generation settings for every call that names none, `timeout_s` (300) for a sign of life
    and `total_timeout_s` (600) for a call with all its tries; for DashScope `region`, `workspace`, `base_url`.
    Raises ValueError for another spec, TypeError for an unknown option, OSError when weights cannot be had, MemoryError
    when they do not fit, ModelError when a server's key is missing.

    >>> load_model("no-such-model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: spec: 'no-such-model' is not one of tiny (the small checkpoint of this repository), ...
    """
    spec, origin = _chosen(spec)
    kind, name = _parsed(spec, origin)
    if options and kind not in SERVERS:
        raise TypeError(f"options: {', '.join(options)} are for models behind a server; {spec} takes its settings with each call")
    known = f"{spec} {sorted(options.items())}" if options else spec
    if (model := _loaded.get(known)) is None:
        make = {"tiny": _tiny, "transformers": lambda: _local(name, spec, origin)}
        model = _loaded[known] = make.get(kind, lambda: _remote(kind, name, origin, options))()
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
        raise ValueError(f"{origin}: {_shown(spec)!r} is not one of {known}{hint}")
    return kind, name.strip()


def _shown(spec: str) -> str:
    """A spec without a password that its URL may carry.

    >>> _shown("vlm:http://me:secret@host")
    'vlm:http://***@host'
    """
    return re.sub(r"//[^/]*@", "//***@", spec)


def weights_of(spec: str | None = None) -> tuple[str, str] | None:
    """The spec, and the folder or repository of the weights that it names; None when it names a server.

    For those who have the weights computed with elsewhere; of `tiny` it is the first checkpoint's folder. Raises as
    `load_model` does before it loads them.

    >>> weights_of("transformers:Qwen/Qwen3-VL-4B-Instruct")
    ('transformers:Qwen/Qwen3-VL-4B-Instruct', 'Qwen/Qwen3-VL-4B-Instruct')
    """
    spec, origin = _chosen(spec)
    kind, name = _parsed(spec, origin)
    if kind in SERVERS:
        return None
    return spec, _tiny_folder() if kind == "tiny" else _located(name, origin)


def _tiny() -> Model:
    folder = _tiny_folder()
    import torch

    from .experts import GATE, Experts
    from .local import LocalModel

    kind = Experts if (Path(folder) / GATE).is_file() else LocalModel
    return kind(folder, spec="tiny", device="cpu", dtype=torch.float32, quiet=True)


def _tiny_folder() -> str:
    if not (TINY_FOLDER / "config.json").is_file():
        raise FileNotFoundError(
            f"the embedded checkpoint is not in {TINY_FOLDER}: use a complete clone of the repository, or train it with "
            "python -m cookbook_utils.tiny.train, or name another model (transformers:NAME_OR_PATH)"
        )
    _say_what_tiny_knows()
    return str(TINY_FOLDER)


@functools.cache  # once per process
def _say_what_tiny_knows() -> None:
    logging.getLogger(__name__).warning(
        "tiny knows the synthetic pictures of this repository and nothing else; for your own, name a real model, "
        "such as load_model('transformers:Qwen/Qwen3-VL-4B-Instruct')."
    )


def _remote(kind: str, name: str, origin: str, options: dict) -> Model:
    from .remote import RemoteModel

    server = SERVERS[kind]
    if kind == "dashscope":
        place = {option: options[option] for option in ("region", "workspace", "base_url") if option in options}
        settings = {option: value for option, value in options.items() if option not in place}
        return RemoteModel(server, dashscope_address(**place), name, spec=f"dashscope:{name}", **settings)
    model, url = split_name(name)
    if kind == "openai" and model is None:
        raise ValueError(
            f"{origin}: expected openai:NAME@URL with a URL that begins with http:// or https://, got 'openai:{_shown(name)}'"
        )
    address = api_address(url, origin, always_v1=kind != "openai")
    return RemoteModel(server, address, model, spec=f"{kind}:{f'{model}@' if model else ''}{address}", **options)


def _local(name: str, spec: str, origin: str) -> Model:
    place = _located(name, origin)
    from .local import LocalModel

    return LocalModel(place, spec=spec)


def _located(name: str, origin: str) -> str:
    """A checkpoint's folder, or its name on the Hub."""
    folder = Path(name).expanduser()
    path_like = name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name
    if path_like and not folder.is_dir():
        raise FileNotFoundError(f"{origin}: no such folder: {name}")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{origin}: expected a folder with a checkpoint, but {name} has no config.json")
    return str(folder) if folder.is_dir() else name
