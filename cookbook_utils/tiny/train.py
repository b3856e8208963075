"""Trains the embedded model: one command that starts, resumes, logs and can be stopped at any time.

    python -m cookbook_utils.tiny.train RUN_FOLDER --minutes 120

The run folder lies outside the repository; it gets `log.jsonl`, `last.pt` (everything needed to
resume), `model/` (a checkpoint that `load_model("transformers:RUN_FOLDER/model")` reads) and `best/`
(the one with the lowest text loss on fixed held-out pictures, measured at every save). The first start takes its weights from `--init`, by default the checkpoint in the assets when there is one.

Two phases: the vision tower alone learns from the dense head what lies where (`--vision-steps`), then
everything is trained on questions and answers with the dense loss beside. Muon updates the matrices,
AdamW the rest. The rate is constant and falls linearly to zero over the last `--cooldown` of the time.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..models import TINY_FOLDER
from . import data
from .dense import IGNORE, NOTHING
from .model import MERGE, DenseHead, causal_mask, new_model, text_inputs, text_layers, vision_forward, vision_tables
from .scenes import HELD_OUT
from .tokenizer import build_processor, train_tokenizer

HEAD = "dense_head.pt"  # beside the checkpoint, for the next training only; not a .safetensors, which servers would load
NUMBERS = ("step", "samples", "seconds", "best")  # a trainer's counters, kept in last.pt
DIGIT_WEIGHTS = (1.0, 0.7, 0.1)  # hundreds, tens, ones in the dense loss


def keep_memory() -> None:
    """Tells glibc to keep freed memory: large tensors come and go every step, and mapping them anew costs a third."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((-3, 2**30), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


class Trainer:
    """Model, dense head and optimizers, and one step of each phase."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.step, self.samples, self.seconds, self.best = 0, 0, 0.0, float("inf")
        self.processor, self.model = start_from(args.init)
        self.model.float().train().to(self.device)
        self.head = dense_head(args.init).to(self.device)
        self.optimizers = make_optimizers(self.model, self.head)
        self.tables: dict = {}
        fast = (lambda f: f) if args.eager else (lambda f: torch.compile(f, dynamic=False))
        torch._dynamo.config.cache_size_limit = 64
        self.vision, self.text = fast(vision_forward), fast(text_layers)

    def forward(self, batch: data.Batch, with_text: bool) -> dict[str, torch.Tensor]:
        visual = self.model.model.visual
        if batch.grid not in self.tables:
            self.tables[batch.grid] = vision_tables(visual, (batch.grid[0] * MERGE, batch.grid[1] * MERGE))
        pixels = batch.pixels.to(self.device).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
        with torch.autocast(self.device.type, torch.bfloat16):
            patches, tokens, deep = self.vision(visual, pixels, self.tables[batch.grid])
            losses = self.dense_losses(batch, patches, tokens)
            if with_text:
                losses.update(self.text_losses(batch, tokens, deep))
        return losses

    def dense_losses(self, batch: data.Batch, patches, tokens) -> dict[str, torch.Tensor]:
        at_patch, at_token, digits, edges = (part.float() for part in self.head(patches, tokens))
        truth = batch.things_at_token.to(self.device).flatten()
        wanted = batch.digits_at_token.to(self.device).flatten()
        each = F.cross_entropy(digits.flatten(0, 3), wanted, ignore_index=IGNORE, reduction="none").view(-1, 3)
        something = (truth != NOTHING).float()
        true_edges = (wanted.view(-1, 4, 3) * torch.tensor([0.1, 0.01, 0.001], device=self.device)).sum(-1)
        off = ((edges.flatten(0, 1) - true_edges).abs().mean(-1) * something).sum() / something.sum().clamp(min=1)
        digit = each.sum(0) / (4 * something.sum()).clamp(min=1)
        with torch.no_grad():
            right = ((at_token.flatten(0, 1).argmax(-1) == truth) * something).sum() / something.sum().clamp(min=1)
        return {
            "patch": F.cross_entropy(at_patch.flatten(0, 1), batch.things_at_patch.to(self.device).flatten()),
            "token": F.cross_entropy(at_token.flatten(0, 1), truth),
            "digits": (digit * torch.tensor(DIGIT_WEIGHTS, device=self.device)).sum(),
            "edges": off,
            "thing_right": right,
        }

    def text_losses(self, batch: data.Batch, tokens, deep) -> dict[str, torch.Tensor]:
        ids, language = batch.ids.to(self.device), self.model.model.language_model
        image = ids == self.model.config.image_token_id
        x, cos, sin, spread = text_inputs(language, ids, batch.positions.to(self.device), image, tokens, deep)
        mask = causal_mask(batch.segments.to(self.device), x.dtype)
        hidden = self.text(language, x, cos, sin, mask, spread)
        weights = batch.weights.to(self.device)[:, 1:]
        chosen = weights > 0
        logits = F.linear(hidden[:, :-1][chosen], self.model.lm_head.weight).float()
        target, weight = ids[:, 1:][chosen], weights[chosen]
        each = F.cross_entropy(logits, target, reduction="none")
        with torch.no_grad():
            right = ((logits.argmax(-1) == target) * (weight >= 1)).sum() / (weight >= 1).sum()
        return {"text": (each * weight).sum() / weight.sum(), "text_right": right}

    def update(self, batch: data.Batch, rate: float) -> dict[str, float]:
        with_text = self.step >= self.args.vision_steps
        losses = self.forward(batch, with_text)
        dense = losses["patch"] * 0.5 + losses["token"] + losses["digits"] + 10 * losses["edges"]
        total = losses["text"] * self.args.text_weight + dense * self.args.dense_weight if with_text else dense
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.samples += len(batch.ids)
        return {name: float(value.detach()) for name, value in losses.items()}

    def parameters(self):
        return [p for part in (self.model, self.head) for p in part.parameters() if p.requires_grad]

    def state(self) -> dict:
        parts = {"model": self.model, "head": self.head, "muon": self.optimizers[0], "adam": self.optimizers[1]}
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return {**{name: part.state_dict() for name, part in parts.items()}, **numbers}

    @torch.no_grad()
    def held_out(self, batches: int = 4, size: int = 16) -> dict[str, float]:
        """Text loss and share of right tokens on the same unseen pictures every time."""
        packer, compiled = data.Packer(self.processor.tokenizer), (self.vision, self.text)
        self.vision, self.text = vision_forward, text_layers
        shapes = list(data.GRIDS)[:batches]
        made = (data.make_batch(packer, np.random.default_rng([HELD_OUT, 2, i]), size, grid) for i, grid in enumerate(shapes))
        losses = [self.forward(batch, with_text=True) for batch in made]
        self.vision, self.text = compiled
        return {f"held_out_{name}": float(sum(row[name] for row in losses)) / len(losses) for name in ("text", "text_right")}

    def save(self, folder: Path) -> dict[str, float]:
        """Writes `last.pt`, `model/` and perhaps `best/`, each complete before it takes the old one's place."""
        figures = self.held_out()
        better = figures["held_out_text"] < self.best
        self.best = min(self.best, figures["held_out_text"])
        torch.save(self.state(), folder / "last.tmp")
        os.replace(folder / "last.tmp", folder / "last.pt")
        save_checkpoint(self.model, self.processor, folder / "model.tmp")
        torch.save(self.head.state_dict(), folder / "model.tmp" / HEAD)
        for name in ("best", "model") if better else ("model",):
            copy = shutil.copytree(folder / "model.tmp", folder / f"{name}.new")
            shutil.rmtree(folder / name, ignore_errors=True)
            os.replace(copy, folder / name)
        shutil.rmtree(folder / "model.tmp")
        return figures

    def resume(self, folder: Path) -> None:
        """Takes up the run of `folder` where it stopped; a fresh folder is left as it is."""
        if not (folder / "last.pt").exists():
            return
        state = torch.load(folder / "last.pt", map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        for optimizer, name in zip(self.optimizers, ("muon", "adam"), strict=True):
            optimizer.load_state_dict(state[name])
        for name in NUMBERS:
            setattr(self, name, state.get(name, getattr(self, name)))


def start_from(init: str | None):
    """Processor and model of a checkpoint folder, or new ones when `init` is None and no asset exists."""
    from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

    folder = Path(init or TINY_FOLDER)
    if (folder / "model.safetensors").exists():
        return AutoProcessor.from_pretrained(folder), Qwen3VLForConditionalGeneration.from_pretrained(folder)
    if init:
        raise ValueError(f"--init: expected a folder with model.safetensors, got {init}")
    processor = build_processor(train_tokenizer())
    return processor, new_model(processor.tokenizer)


def dense_head(init: str | None) -> DenseHead:
    """The dense head that was saved beside a checkpoint, or a new one."""
    head, saved = DenseHead(NOTHING + 1), Path(init or TINY_FOLDER) / HEAD
    if saved.exists():
        head.load_state_dict(torch.load(saved, weights_only=True))
    return head


def save_checkpoint(model, processor, folder: Path) -> None:
    """Writes a checkpoint in bfloat16 that the library's own classes load."""
    from transformers import Qwen3VLForConditionalGeneration

    shutil.rmtree(folder, ignore_errors=True)
    weights = {name: value.detach().to("cpu", torch.bfloat16) for name, value in model.state_dict().items()}
    copy = Qwen3VLForConditionalGeneration._from_config(model.config, dtype=torch.bfloat16)
    copy.load_state_dict(weights)
    copy.generation_config = generation_config(model.config.text_config)
    copy.save_pretrained(folder)
    processor.save_pretrained(folder)


def generation_config(text):
    """Greedy decoding that stops at the end of the turn."""
    from transformers import GenerationConfig

    return GenerationConfig(
        do_sample=False, max_new_tokens=512, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
    )


def make_optimizers(model, head) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for mergers, embeddings, norms, biases and the dense head."""
    named = dict(model.named_parameters())
    # The mergers' matrices are large and few: orthogonalising them would cost a third of a step.
    inner = {n: p for n, p in named.items() if p.ndim == 2 and ("blocks." in n or "layers." in n)}
    rest = [p for n, p in named.items() if n not in inner] + list(head.parameters())
    muon = torch.optim.Muon(list(inner.values()), lr=3e-3, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(rest, lr=2e-3, weight_decay=0.02, betas=(0.9, 0.98))
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return [muon, adam]


def rate_at(elapsed: float, total: float, cooldown: float, step: int) -> float:
    """Share of the full learning rate: a short warm-up, constant, then linearly to zero over the last `cooldown`."""
    warm = min(1.0, (step + 1) / 30)
    left = (total - elapsed) / max(cooldown * total, 1e-9)
    return warm * min(1.0, max(left, 0.0))


def train(args: argparse.Namespace) -> None:
    """Runs until the time is over or a signal comes, and leaves a complete checkpoint either way."""
    keep_memory()
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(args)
    trainer.resume(folder)
    stream = data.Stream(trainer.processor.tokenizer, args.batch, seed=int(time.time()), most=args.most, grids=args.grids)
    loader = torch.utils.data.DataLoader(
        stream, batch_size=None, num_workers=args.workers, prefetch_factor=3, worker_init_fn=leave_signals_to_the_parent
    )
    stop: list[bool] = []
    before = {name: signal.signal(name, lambda *_: stop.append(True)) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        run(trainer, loader, folder, stop)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def run(trainer: Trainer, loader, folder: Path, stop: list) -> None:
    """Steps until `stop` holds something or the time is over; logs and saves on the way and at the end."""
    args, first, sums = trainer.args, trainer.step, {}
    began = logged = saved = time.time()
    for batch in loader:
        rate = rate_at(time.time() - began, args.minutes * 60, args.cooldown, trainer.step - first)
        for name, value in trainer.update(batch, rate).items():
            sums[name] = sums.get(name, 0.0) + value / args.log_every
        if trainer.step % args.log_every == 0:
            took, logged = time.time() - logged, time.time()
            trainer.seconds += took
            write_log(folder, trainer, sums, rate, args.log_every * args.batch / took)
            sums = {}
        over = stop or time.time() - began > args.minutes * 60
        if over or time.time() - saved > args.save_minutes * 60:
            write_log(folder, trainer, trainer.save(folder), rate, 0.0)
            saved = time.time()
        if over:
            return


def leave_signals_to_the_parent(_: int) -> None:
    """In a worker: a stop signal to the whole group must not kill the batches of the last step."""
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def write_log(folder: Path, trainer: Trainer, figures: dict, rate: float, speed: float) -> None:
    row = {"step": trainer.step, "samples": trainer.samples, "seconds": round(trainer.seconds), "rate": round(rate, 3),
           "per_second": round(speed, 1), **{name: round(value, 4) for name, value in figures.items()}}  # fmt: skip
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("folder", help="where the run lives; outside the repository")
    parser.add_argument("--minutes", type=float, default=60, help="how long to train")
    parser.add_argument("--cooldown", type=float, default=0.3, help="last share of the time in which the rate falls to zero")
    parser.add_argument("--init", help="checkpoint folder to start from (default: assets/tiny, else random weights)")
    parser.add_argument("--vision-steps", type=int, default=0, help="steps of the vision tower alone at the start")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--most", type=int, default=6, help="things a picture, at most")
    parser.add_argument("--grids", type=int, default=len(data.GRIDS), help="picture shapes, the commonest first; each is compiled once")
    parser.add_argument("--workers", type=int, default=1, help="processes that render batches")
    parser.add_argument("--text-weight", type=float, default=1.0)
    parser.add_argument("--dense-weight", type=float, default=0.3, help="weight of the dense loss beside the text loss")
    parser.add_argument("--log-every", type=int, default=25)
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--eager", action="store_true", help="do not compile (where no C++ compiler is at hand)")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
