"""Brings a checkpoint into memory with transformers: where, in which number format, with which attention.

Device: the first that is there of CUDA (all cards together when there are several), Apple's MPS, the CPU.
Number format: bf16 on CUDA, on MPS where macOS has it (else fp16), and on a CPU that computes in it; else float32.
Attention: flash-attention 2 on CUDA when the package is installed, else PyTorch's own (sdpa).

Before any weight is read or downloaded, the parameters are counted from the configuration alone, and a model that
does not fit is refused with the sizes that would. transformers' own bar shows the loading. Imports torch.
"""

import os
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch

from ..doctor import OVERHEAD, QWEN3_VL, models_that_fit

GIB = 2**30


def load_weights(name: str, *, device: str | None = None, dtype: torch.dtype | None = None, quiet: bool = False) -> tuple:
    """Load `(processor, model)` of a folder or of a repository on the Hugging Face Hub, ready for generation.

    device: "cuda", "cuda:1", "mps", "cpu", or "auto" for several cards; dtype: number format of the weights.
    Raises OSError when the weights cannot be had, MemoryError when they would not fit; both say what to do.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    device = device or best_device()
    dtype = dtype or best_dtype(device)
    place = {} if device == "cpu" else {"device_map": device}
    try:
        config = AutoConfig.from_pretrained(name)
        check_memory(name, count_parameters(config), dtype, device)
        with _bars(shown=not quiet):
            model = AutoModelForImageTextToText.from_pretrained(
                name, dtype=dtype, attn_implementation=best_attention(device, dtype), **place
            )
        return AutoProcessor.from_pretrained(name), model.eval()
    except OSError as error:
        raise OSError(why_unavailable(name, error)) from error


def load_processor(name: str) -> dict:
    """Load a checkpoint's `processor`, `config` and `generation` (its generation_config.json, or an empty one).

    Raises OSError as `load_weights`.
    """
    from transformers import AutoConfig, AutoProcessor, GenerationConfig

    try:
        found = {"config": AutoConfig.from_pretrained(name), "processor": AutoProcessor.from_pretrained(name)}
    except OSError as error:
        raise OSError(why_unavailable(name, error)) from error
    with suppress(OSError):  # a checkpoint needs none
        return {**found, "generation": GenerationConfig.from_pretrained(name)}
    return {**found, "generation": GenerationConfig()}


def best_device() -> str:
    """The device to use: "cuda" ("auto" for several cards), "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "auto" if torch.cuda.device_count() > 1 else "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """The number format that the device computes in fast: bf16 where it can, else fp16 (MPS) or float32 (CPU)."""
    if device == "mps":
        return torch.bfloat16 if torch.backends.mps.is_macos_or_newer(14, 0) else torch.float16
    if device == "cpu":
        supported = (getattr(torch.cpu, f"_is_{unit}_supported", bool) for unit in ("avx512_bf16", "amx_tile"))
        return torch.bfloat16 if any(test() for test in supported) else torch.float32
    return torch.bfloat16


def best_attention(device: str, dtype: torch.dtype) -> str:
    """flash_attention_2 where it is installed and works (CUDA, 16 bits), else sdpa."""
    from transformers.utils import is_flash_attn_2_available

    fits = device not in ("cpu", "mps") and dtype != torch.float32
    return "flash_attention_2" if fits and is_flash_attn_2_available() else "sdpa"


def count_parameters(config) -> int:
    """Parameters of the model that a configuration describes, counted without allocating it."""
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def free_bytes(device: str) -> int:
    """Memory that is free for weights: of the card, of all cards ("auto"), or of the machine."""
    if device == "auto":
        return sum(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(torch.device(device))[0]
    limit = Path("/sys/fs/cgroup/memory.max")  # of the container, where there is one
    limits = [int(limit.read_text())] if limit.is_file() and limit.read_text().strip().isdigit() else []
    return min([psutil.virtual_memory().available, *limits])


def check_memory(name: str, parameters: int, dtype: torch.dtype, device: str) -> None:
    """Refuse a model that does not fit: its weights and 20 % for activations against what is free on the device.

    Raises MemoryError with the needed and the free GiB, and the Qwen3-VL sizes that fit.
    """
    free, needed = free_bytes(device), parameters * dtype.itemsize * OVERHEAD
    if needed <= free:
        return
    fitting = models_that_fit(free / 1e9 * 2 / dtype.itemsize)  # the table counts 2 bytes a parameter
    advice = f"Qwen3-VL sizes that fit: {', '.join(fitting)}" if fitting else f"even {next(iter(QWEN3_VL))} does not fit; use an API"
    hint = "" if device in ("cpu", "mps") else "; CUDA_VISIBLE_DEVICES= (empty) uses the machine's memory instead, slowly"
    raise MemoryError(
        f"{name} needs {needed / GIB:.1f} GiB on {device} ({parameters / 1e9:.1f} billion parameters in "
        f"{str(dtype).removeprefix('torch.')} and 20 %), free are {free / GIB:.1f} GiB; {advice}, or load_model('tiny'){hint}"
    )


def why_unavailable(name: str, error: OSError) -> str:
    """Say why weights cannot be had, and what to do: offline, not found, gated, or what the library said."""
    said, offline = str(error), os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if "gated" in said:
        why = f"it is gated: ask for access at https://huggingface.co/{name}, then log in (hf auth login) or set HF_TOKEN"
    elif "not a valid model identifier" in said or "not a local folder" in said:
        why = "there is no such folder and no such repository on the Hugging Face Hub (or it is private)"
    elif offline and not Path(name).is_dir():
        why = "it is not in the cache, and HF_HUB_OFFLINE forbids to download it; unset that to allow it"
    elif "connect" in said.lower():
        why = "it is not in the cache, and the Hugging Face Hub (huggingface.co) cannot be reached"
    else:
        why = said.splitlines()[0] if said else type(error).__name__
    works = "load_model('tiny'), or transformers:FOLDER with a complete checkpoint"
    return f"the weights of {name!r} cannot be had: {why}. What works without: {works}"


@contextmanager
def _bars(shown: bool):
    """Hides transformers' progress bars for as long as it lasts, if they are not to be shown."""
    from transformers.utils import logging

    hide = not shown and logging.is_progress_bar_enabled()
    if hide:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if hide:
            logging.enable_progress_bar()
