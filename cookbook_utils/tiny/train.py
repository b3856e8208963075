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
from . import data, dense
from .dense import IGNORE, NOTHING
from .families import FAMILIES, KINDS
from .model import MERGE, DenseHead, causal_mask, grid_of, new_model, text_inputs, text_layers, vision_forward, vision_tables
from .muon import Muon
from .packing import Packer
from .scenes import HELD_OUT
from .tokenizer import build_processor, train_tokenizer

HEAD = "dense_head.pt"  # beside the checkpoint, for the next training only; not a .safetensors, which servers would load
OWN_FIGURES = ("text", "thing_right", "letters_right", "token_letters_right", "centre_right", "number_right")  # logged for each family
HELD_OUT_FIGURES = ("text", "text_right")
RARE = 0.1  # share of the steps below which a family runs uncompiled: a shape takes one to two minutes to compile
NUMBERS = ("step", "samples", "seconds", "best")  # a trainer's counters, kept in last.pt
DIGIT_WEIGHTS = (1.0, 0.7, 0.1)  # hundreds, tens, ones in the dense loss
DECIMAL_WEIGHTS = (1.0, 1.0, 1.0, 0.2)  # sign, ones, tenths, hundredths


def keep_memory() -> None:
    """Tells glibc to keep freed memory: large tensors come and go every step, and mapping them anew costs a third."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((-3, 2**30), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


def half_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 is worth while: on a CPU only with instructions for it; emulated, it is four times slower than float32."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class Trainer:
    """Model, dense head and optimizers, and one step of each phase."""

    def __init__(self, args: argparse.Namespace):
        self.args, self.mix = args, mix_of(args)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.step, self.samples, self.seconds, self.best = 0, 0, 0.0, float("inf")
        self.processor, self.model = start_from(args.init)
        self.model.float().train().to(self.device)
        self.head = dense_head(args.init).to(self.device)
        self.optimizers = make_optimizers(self.model, self.head)
        self.half = half_is_fast(self.device)
        self.tables: dict = {}
        fast = (lambda f: f) if args.eager else (lambda f: torch.compile(f, dynamic=False))
        torch._dynamo.config.cache_size_limit = 64
        self.vision, self.text = fast(vision_forward), fast(text_layers)
        often = {name for name, weight in self.mix.weights.items() if weight >= RARE * sum(self.mix.weights.values())}
        self.compiled = {name: {grid_of(size) for size in list(FAMILIES[name].sizes)[: args.compiled]} for name in often}

    def forward(self, batch: data.Batch, with_text: bool) -> dict[str, torch.Tensor]:
        visual = self.model.model.visual
        if batch.grid not in self.tables:
            self.tables[batch.grid] = vision_tables(visual, (batch.grid[0] * MERGE, batch.grid[1] * MERGE))
        pixels = batch.pixels.to(self.device).permute(0, 1, 4, 2, 3).contiguous().float() / 127.5 - 1
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            vision = self.vision if batch.grid in self.compiled.get(batch.family, ()) else vision_forward
            patches, tokens, deep = vision(visual, pixels, self.tables[batch.grid])
            losses = self.dense_losses(batch.targets, patches, tokens)
            if with_text:
                rows = len(batch.ids)  # of V pictures each
                tokens, *deep = (part.reshape(rows, -1, part.shape[-1]) for part in (tokens, *deep))
                losses.update(self.text_losses(batch, tokens, deep))
        return losses

    def dense_losses(self, targets: dense.Targets, patches, tokens) -> dict[str, torch.Tensor]:
        at_patch, at_token, digits, edges, centre, order = (part.float() for part in self.head(patches, tokens))
        truth = targets.at_token.to(self.device).flatten()
        wanted = targets.digits.to(self.device).flatten()
        each = F.cross_entropy(digits.flatten(0, 3), wanted, ignore_index=IGNORE, reduction="none").view(-1, 3)
        something = (truth != NOTHING).float()
        true_edges = (wanted.view(-1, 4, 3) * torch.tensor([0.1, 0.01, 0.001], device=self.device)).sum(-1)
        off = ((edges.flatten(0, 1) - true_edges).abs().mean(-1) * something).sum() / something.sum().clamp(min=1)
        digit = each.sum(0) / (4 * something.sum()).clamp(min=1)
        with torch.no_grad():
            right = ((at_token.flatten(0, 1).argmax(-1) == truth) * something).sum() / something.sum().clamp(min=1)
        losses = {
            "patch": F.cross_entropy(at_patch.flatten(0, 1), targets.at_patch.to(self.device).flatten()),
            "token": F.cross_entropy(at_token.flatten(0, 1), truth),
            "digits": (digit * torch.tensor(DIGIT_WEIGHTS, device=self.device)).sum(),
            "edges": off,
            "order": F.cross_entropy(order.flatten(0, 1), targets.order.to(self.device).flatten(), ignore_index=IGNORE),
            "centre": F.binary_cross_entropy_with_logits(centre, targets.centres.to(self.device)),
            "thing_right": right,
        }
        if targets.glyphs is not None:
            written = targets.glyphs.to(self.device).flatten()
            losses.update(letter_losses("letters", self.head.characters(patches), written))
            losses.update(letter_losses("token_letters", self.head.characters_of_tokens(tokens), written))
            said = self.head.lines(tokens).float().flatten(0, 2)
            losses["lines"] = F.cross_entropy(said, targets.lines.to(self.device).flatten(), ignore_index=IGNORE)
        if targets.number is not None:
            losses.update(self.number_losses(targets.number.to(self.device), tokens))
        if targets.space is not None:
            losses.update(self.space_losses(targets.space.to(self.device), tokens))
        return losses

    def space_losses(self, truth: torch.Tensor, tokens) -> dict[str, torch.Tensor]:
        """Of 3D boxes: the plain numbers, the digits that an answer would write, and the share of centres within a tenth of their distance."""
        numbers, digits = (part.float() for part in self.head.space(tokens))
        there = ~truth.isnan().any(-1)
        numbers, digits, truth = numbers[there], digits[there], truth[there]  # (P, 9), (P, 9, 4, 10), (P, 9)
        scale = torch.tensor([1, 1, 1, 1, 1, 1, 4, 4, 4], device=self.device)  # a quarter of a half-turn counts like a metre
        each = F.cross_entropy(digits.flatten(0, 2), decimal_digits(truth).flatten(), reduction="none").view(-1, 4)
        with torch.no_grad():
            off = (numbers[:, :3] - truth[:, :3]).norm(dim=-1) / truth[:, :3].norm(dim=-1).clamp(min=0.1)
        return {
            "space": ((numbers - truth).abs() * scale).mean(),
            "metres": (each.mean(0) * torch.tensor(DECIMAL_WEIGHTS, device=self.device)).sum(),
            "centre_right": (off < 0.1).float().mean(),
        }

    def number_losses(self, truth: torch.Tensor, tokens) -> dict[str, torch.Tensor]:
        """The number of its page, which each token is to know: what was found on a page then names the page."""
        said = self.head.number(tokens).float()  # (R, M, 2, 10)
        wanted = truth[:, None].expand(said.shape[:-1])
        with torch.no_grad():
            right = (said.argmax(-1) == wanted).all(-1).float().mean()
        return {"number": F.cross_entropy(said.flatten(0, 2), wanted.flatten()), "number_right": right}

    def text_losses(self, batch: data.Batch, tokens, deep) -> dict[str, torch.Tensor]:
        ids, language, config = batch.ids.to(self.device), self.model.model.language_model, self.model.config
        image = (ids == config.image_token_id) | (ids == config.video_token_id)
        x, cos, sin, spread = text_inputs(language, ids, batch.positions.to(self.device), image, tokens, deep)
        mask = causal_mask(batch.segments.to(self.device), x.dtype)
        text = self.text if batch.family in self.compiled else text_layers
        hidden, watched = text(language, x, cos, sin, mask, spread)
        wanted = (getattr(batch, name) for name in data.LOOKS)
        looks = [look_loss(scores.float(), looks) for scores, looks in zip(watched, wanted, strict=True)]
        weights = batch.weights.to(self.device)[:, 1:]
        chosen = weights > 0
        logits = F.linear(hidden[:, :-1][chosen], self.model.lm_head.weight).float()
        target, weight = ids[:, 1:][chosen], weights[chosen]
        each = F.cross_entropy(logits, target, reduction="none")
        with torch.no_grad():
            right = ((logits.argmax(-1) == target) * (weight >= 1)).sum() / (weight >= 1).sum()
        looking = dict(zip(data.LOOKS, looks, strict=True))
        return {"text": (each * weight).sum() / weight.sum(), **looking, "text_right": right}

    def update(self, batch: data.Batch, rate: float) -> dict[str, torch.Tensor]:
        with_text = self.step >= self.args.vision_steps
        losses = self.forward(batch, with_text)
        total = losses["patch"] * 0.5 + losses["token"] + losses["digits"] + 10 * losses["edges"] + 2 * losses["centre"]
        total = total + 0.5 * losses["order"] + losses.get("letters", 0.0) + losses.get("token_letters", 0.0)
        total = total + losses.get("number", 0.0) + losses.get("lines", 0.0)
        total = total + losses.get("space", 0.0) * 2 + losses.get("metres", 0.0) * 0.5
        if with_text:
            looking = (losses["read"] + (losses["first"] + losses["rest"]) / 2) * self.args.look_weight
            total = losses["text"] * self.args.text_weight + looking + total * self.args.dense_weight
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.samples += len(batch.ids)
        figures = {name: value.detach() for name, value in losses.items()}
        own = {f"{name} {batch.family}": figures[name] for name in OWN_FIGURES if name in figures}
        return {**figures, **own} if len(self.mix.weights) > 1 else figures

    def parameters(self):
        return [p for part in (self.model, self.head) for p in part.parameters() if p.requires_grad]

    def state(self) -> dict:
        parts = {"model": self.model, "head": self.head, "muon": self.optimizers[0], "adam": self.optimizers[1]}
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return {**{name: part.state_dict() for name, part in parts.items()}, **numbers}

    @torch.no_grad()
    def held_out(self, batches: int = 3, rows: int = 16) -> dict[str, float]:
        """Text loss and share of right tokens on the same unseen samples every time, per family and on average."""
        packer, compiled = Packer(self.processor.tokenizer), (self.vision, self.text)
        self.vision, self.text = vision_forward, text_layers
        figures = {}
        for family in self.mix.weights:
            sizes = list(FAMILIES[family].sizes)[:batches]
            made = (data.make_batch(packer, np.random.default_rng([HELD_OUT, 2, i]), rows, family, size, self.mix.level, unseen=True)
                    for i, size in enumerate(sizes))  # fmt: skip
            losses = [self.forward(batch, with_text=True) for batch in made]
            figures.update({f"{name} {family}": float(sum(row[name] for row in losses)) / len(losses) for name in HELD_OUT_FIGURES})
        self.vision, self.text = compiled
        return {**figures, "held_out": sum(figures[f"text {family}"] for family in self.mix.weights) / len(self.mix.weights)}

    def save(self, folder: Path) -> dict[str, float]:
        """Writes `last.pt`, `model/` and perhaps `best/`, each complete before it takes the old one's place."""
        figures = self.held_out()
        better = figures["held_out"] < self.best
        self.best = min(self.best, figures["held_out"])
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


def decimal_digits(values: torch.Tensor) -> torch.Tensor:
    """Sign (1 for minus), ones, tenths and hundredths `(..., 4)` of numbers under 10, as an answer with two decimals writes them.

    >>> decimal_digits(torch.tensor([-1.254, 0.5])).tolist()
    [[1, 1, 2, 5], [0, 0, 5, 0]]
    """
    hundredths = (values.abs() * 100).round().long().clamp(max=999)
    sign = (values < 0) & (hundredths > 0)
    return torch.stack([sign.long(), hundredths // 100, hundredths // 10 % 10, hundredths % 10], -1)


def letter_losses(name: str, said: torch.Tensor, written: torch.Tensor) -> dict[str, torch.Tensor]:
    """What is `said` `(..., L)` to be written in each half patch against what is, flat; characters count as much as all of the
    empty halves together."""
    said, something = said.float().flatten(0, -2), written > 0
    each = F.cross_entropy(said, written, reduction="none")
    with torch.no_grad():
        right = ((said.argmax(-1) == written) & something).sum() / something.sum()
    return {name: each[something].mean() + each[~something].mean(), f"{name}_right": right}


def look_loss(scores: torch.Tensor, looks: data.Looks) -> torch.Tensor:
    """Mean divergence, in nats, of heads' attention from where it ought to look; `scores` `(B, H, T, T)` before the softmax."""
    row, at, key = looks.index.to(scores.device).unbind(-1)
    share = looks.share.to(scores.device)[:, None]
    got = scores[row, :, at, key] - scores.logsumexp(-1)[row, :, at]  # (P, H)
    return (share * (share.log() - got)).mean(1).sum() / share.sum().clamp(min=1)


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
    head, saved = DenseHead(len(KINDS), len(dense.CHARACTERS) + 1), Path(init or TINY_FOLDER) / HEAD
    if saved.exists():
        head.load_what_fits(torch.load(saved, weights_only=True, map_location="cpu"))
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
    muon = Muon(list(inner.values()), lr=3e-3, weight_decay=0.05)
    adam = torch.optim.AdamW(rest, lr=2e-3, weight_decay=0.02, betas=(0.9, 0.98))
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return [muon, adam]


def mix_of(args: argparse.Namespace) -> data.Mix:
    """`--mix pictures=2 pages=1` as families with weights."""
    weights = {}
    for part in args.mix:
        name, _, weight = part.partition("=")
        if name not in FAMILIES:
            raise ValueError(f"--mix: expected NAME=WEIGHT with a name of {', '.join(FAMILIES)}, got {part!r}")
        weights[name] = float(weight or 1)
    return data.Mix(weights, args.batch, args.sizes, args.level, args.rise_minutes * 60)


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
    stream = data.Stream(trainer.processor.tokenizer, trainer.mix, seed=int(time.time()))
    loader = torch.utils.data.DataLoader(
        stream, batch_size=None, num_workers=args.workers, prefetch_factor=3, worker_init_fn=leave_signals_to_the_parent
    )
    stop: list[bool] = []
    before = {name: signal.signal(name, lambda *_: stop.append(True)) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        batches = loader if args.reuse == 1 else data.Pool(loader, trainer.device, args.join, args.reuse, seed=stream.seed)
        run(trainer, batches, folder, stop)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def run(trainer: Trainer, loader, folder: Path, stop: list) -> None:
    """Steps until `stop` holds something or the time is over; logs and saves on the way and at the end."""
    args, first, counted, sums = trainer.args, trainer.step, trainer.samples, {}
    began = logged = saved = time.time()
    for batch in loader:
        rate = rate_at(time.time() - began, args.minutes * 60, args.cooldown, trainer.step - first)
        for name, value in trainer.update(batch, rate).items():
            sums.setdefault(name, []).append(value)
        if trainer.step % args.log_every == 0:
            took, logged = time.time() - logged, time.time()
            trainer.seconds += took
            means = {name: float(torch.stack(values).mean()) for name, values in sums.items()}
            write_log(folder, trainer, means, rate, (trainer.samples - counted) / took)
            counted = trainer.samples
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
    parser.add_argument("--mix", nargs="+", default=["pictures"], help="families with weights: pictures=2 pages=1")
    parser.add_argument("--level", type=float, default=1.0, help="the curriculum: 0 the easiest samples, 1 the whole world")
    parser.add_argument("--rise-minutes", type=float, default=0.0, help="how long the level rises from 0 to --level")
    parser.add_argument("--sizes", type=int, help="picture sizes a family, the commonest first")
    parser.add_argument("--compiled", type=int, help="sizes a family that are compiled (default: all); the rarer ones run uncompiled, as rare families do")
    parser.add_argument("--workers", type=int, default=1, help="processes that render batches")
    parser.add_argument("--reuse", type=float, default=1, help="how often a sample is trained on, where rendering is slower than the model")
    parser.add_argument("--join", type=int, default=8, help="batches drawn for one step, with --reuse")
    parser.add_argument("--text-weight", type=float, default=1.0)
    parser.add_argument("--dense-weight", type=float, default=0.3, help="weight of the dense loss beside the text loss")
    parser.add_argument("--look-weight", type=float, default=0.3, help="weight of the loss on where attention heads look")
    parser.add_argument("--log-every", type=int, default=25)
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--eager", action="store_true", help="do not compile (where no C++ compiler is at hand)")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
