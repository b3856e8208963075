"""The training command: it learns, stops on its own, and takes up where it stopped."""

import argparse
import json

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.tiny import data, dense, page_tasks, pages, train
from cookbook_utils.tiny.families import FAMILIES
from cookbook_utils.tiny.packing import Packer, spoken, token_weights
from cookbook_utils.tiny.samples import Sample

SHARED = {"clips": {"seconds": 3}}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A checkpoint with random weights."""
    processor = AutoProcessor.from_pretrained(TINY_FOLDER.with_name("tiny_pages"))  # its tokenizer has the texts of the tools
    folder = tmp_path_factory.mktemp("start")
    train.save_checkpoint(train.new_model(processor.tokenizer), processor, folder)
    return folder


def arguments(folder, init, **changes):
    options = dict(folder=str(folder), init=str(init), minutes=0.0, cooldown=0.3, vision_steps=0, batch=2, mix=["pictures"], level=0.2, workers=1,
                   text_weight=1.0, dense_weight=0.3, look_weight=0.3, log_every=1, save_minutes=99, eager=True, sizes=1, compiled=1,
                   rise_minutes=0.0, reuse=1, join=2)  # fmt: skip
    return argparse.Namespace(**{**options, **changes})


def test_a_run_leaves_a_checkpoint_that_the_library_loads_and_a_second_run_goes_on_from_it(start, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    train.train(arguments(tmp_path, start))
    train.train(arguments(tmp_path, start))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "text" in row] == [1, 2]
    held_out = [row["held_out"] for row in log if "held_out" in row]
    assert len(held_out) == 2 and torch.load(tmp_path / "last.pt")["best"] == pytest.approx(min(held_out), abs=1e-4)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "model")
    assert type(model).__name__ == "Qwen3VLForConditionalGeneration" and model.dtype == torch.bfloat16
    assert type(AutoProcessor.from_pretrained(tmp_path / "model")).__name__ == "Qwen3VLProcessor"
    assert (tmp_path / "model" / train.HEAD).exists() and (tmp_path / "best" / "model.safetensors").exists()


@pytest.mark.parametrize("folder", sorted(TINY_FOLDER.parent.glob("tiny*")), ids=lambda folder: folder.name)
def test_what_lies_beside_a_checkpoint_can_be_trained_on_wherever_it_was_made(folder):
    _, model = train.start_from(str(folder))
    head = train.dense_head(str(folder))
    assert {part.device.type for part in (*model.parameters(), *head.parameters())} == {"cpu"}


def test_both_phases_lower_their_loss_on_a_batch_seen_again(start, tmp_path):
    for phase, figure in ((99, "token"), (0, "text")):
        trainer = train.Trainer(arguments(tmp_path, start, vision_steps=phase))
        packer = Packer(trainer.processor.tokenizer)
        batch = data.make_batch(packer, np.random.default_rng(0), 2, "pictures", (288, 256), level=0.2)
        losses = [trainer.update(batch, 0.3)[figure] for _ in range(20)]
        assert losses[-1] < 0.8 * losses[0], figure


@pytest.mark.parametrize("family", ["pages", "clips", "solids", "documents"])
def test_joined_batches_are_judged_as_each_of_them(start, tmp_path, family):
    trainer, rng = train.Trainer(arguments(tmp_path, start, mix=[f"{family}=1"])), np.random.default_rng(4)
    packer, size = Packer(trainer.processor.tokenizer), next(iter(FAMILIES[family].sizes))
    parts = [data.collate(packer, rng, family, [FAMILIES[family].make(rng, size, 1.0, **SHARED.get(family, {})) for _ in range(2)]) for _ in range(2)]
    with torch.no_grad():
        one, both = [trainer.forward(part, True) for part in parts], trainer.forward(data.joined(parts), True)
    assert float(both["patch"]) == pytest.approx(float(one[0]["patch"] + one[1]["patch"]) / 2, rel=1e-3)
    sums = {"text": [float(part.weights[:, 1:].sum()) for part in parts]}
    sums |= {name: [float(getattr(part, name).share.sum()) for part in parts] for name in data.LOOKS}
    for name, weights in sums.items():
        mean = sum(float(row[name]) * weight for row, weight in zip(one, weights, strict=True)) / sum(weights)
        assert float(both[name]) == pytest.approx(mean, rel=1e-3), name
    assert ("space" in both, "number" in both) == (family == "solids", family == "documents")


def test_samples_are_drawn_again_as_often_as_asked_for(start):
    packer = Packer(AutoProcessor.from_pretrained(start).tokenizer)
    made = [data.make_batch(packer, np.random.default_rng(i), 2, "pictures", size, 0.2) for i, size in enumerate([(256, 288), (288, 256)] * 3)]
    pool = data.Pool(iter(made), torch.device("cpu"), join=2, reuse=3.0)
    pool.fill()  # before the first draw, so that what is drawn hangs on the seed and not on which thread is faster
    drawn = list(pool)
    assert 3 * 12 <= sum(len(batch.ids) for batch in drawn) <= 3 * 12 + 3
    assert max(len(batch.ids) for batch in drawn) == 4 and {batch.grid for batch in drawn} == {(8, 9), (9, 8)}
    seen = {tuple(row.tolist()) for batch in drawn for row in batch.ids}
    assert seen <= {tuple(row.tolist()) for batch in made for row in batch.ids} and len(seen) > 8


def test_an_error_while_rendering_is_not_taken_for_the_end(start):
    packer = Packer(AutoProcessor.from_pretrained(start).tokenizer)

    def batches():
        yield data.make_batch(packer, np.random.default_rng(0), 2, "pictures", (256, 288), 0.2)
        raise OSError("a font is gone")

    with pytest.raises(OSError, match="a font is gone"):
        list(data.Pool(batches(), torch.device("cpu"), join=2, reuse=2.0))


def test_training_with_a_pool_stops_when_the_time_is_over(start, tmp_path):
    train.train(arguments(tmp_path, start, reuse=2.0))
    assert (tmp_path / "model" / "model.safetensors").exists()


def test_the_level_rises_and_stays():
    mix = data.Mix({"pictures": 1}, level=0.8, rise_s=60)
    assert [mix.level_after(t) for t in (0, 30, 60, 600)] == pytest.approx([0, 0.4, 0.8, 0.8])
    assert data.Mix({"pictures": 1}, level=0.8).level_after(0) == 0.8


def test_a_rare_picture_size_runs_uncompiled(start, tmp_path, monkeypatch):
    trainer, asked = train.Trainer(arguments(tmp_path, start, compiled=1)), []
    monkeypatch.setattr(trainer, "vision", lambda *parts: asked.append(parts) or train.vision_forward(*parts))
    for size, times in (((352, 224), 0), ((256, 288), 1)):
        batch = data.make_batch(Packer(trainer.processor.tokenizer), np.random.default_rng(0), 1, "pictures", size)
        assert trainer.forward(batch, with_text=False)["token"] > 0 and len(asked) == times, size


def test_a_rare_family_runs_uncompiled(start, tmp_path):
    trainer = train.Trainer(arguments(tmp_path, start, mix=["pictures=12", "walks=1", "solids=3"]))
    assert set(trainer.compiled) == {"pictures", "solids"}


@pytest.mark.parametrize("family", ["zoom", "zoom_once", "zoom_twice"])
def test_conversations_with_crops_are_trained_on(start, tmp_path, family):
    """One step by the command, and another when it is started again."""
    train.train(arguments(tmp_path, start, mix=[f"{family}=1"], minutes=0.0))
    train.train(arguments(tmp_path, start, mix=[f"{family}=1"], minutes=0.0))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "text" in row] == [1, 2] and all(row["text"] > 0 for row in log if "text" in row)
    assert [row for row in log if f"text {family}" in row], "its held-out loss is logged"


@pytest.mark.parametrize(("bf16", "amx", "fast"), [(False, False, False), (True, False, True), (False, True, True)])
def test_half_precision_is_for_processors_that_have_it(monkeypatch, bf16, amx, fast):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert train.half_is_fast(torch.device("cpu")) is fast and train.half_is_fast(torch.device("cuda"))


def test_the_rate_warms_up_holds_and_falls_to_zero():
    rates = [train.rate_at(elapsed, 100, 0.3, step=1000) for elapsed in (0, 69, 85, 100)]
    assert rates == pytest.approx([1, 1, 0.5, 0]) and train.rate_at(0, 100, 0.3, step=0) < 0.05


def test_a_wrong_start_is_named(tmp_path):
    with pytest.raises(ValueError, match="--init: expected a folder with model.safetensors"):
        train.start_from(str(tmp_path))


def test_an_unknown_family_is_named():
    with pytest.raises(ValueError, match="--mix: expected NAME=WEIGHT with a name of pictures"):
        train.mix_of(arguments(".", ".", mix=["paintings=2"]))


def test_a_words_first_letter_and_the_rest_are_read_where_they_stand():
    packer, read = Packer(AutoProcessor.from_pretrained(TINY_FOLDER.with_name("tiny_pages")).tokenizer), {"first": [], "rest": []}
    named, across = {code: character for character, code in dense.CHARACTERS.items()}, 0
    for seed in range(6):
        page = pages.render(np.random.default_rng(seed), (256, 352), kind="menu")
        sample = Sample([page.image], [page_tasks.read_all(page, np.random.default_rng(seed))], page.regions, page.glyphs)
        row, written = packer.row(sample, np.random.default_rng(0), (11, 8), 448), dense.glyph_targets(page.glyphs, page.size)[0]
        start, shares, places = row["ids"].tolist().index(packer.pads["image"]), {}, {}
        for name in read:
            for at, key, share in row[name]:
                text = packer.tokenizer.decode(row["ids"][at + 1]).strip()
                shares[name, at] = shares.get((name, at), 0) + share
                places.setdefault(at, set()).add(key)
                if key and text:
                    here = {named.get(int(code), "") for code in written.reshape(-1, 8)[key - start]}
                    read[name].append(bool({text[0]} & here if name == "first" else set(text) & here))
        assert np.allclose(list(shares.values()), 1)
        across += sum(len(found) > 1 for found in places.values())
    assert across > 40 and all(len(hits) > 160 and np.mean(hits) > 0.96 for hits in read.values()), "two narrow letters share a half patch"


def test_looking_at_the_right_place_costs_nothing_and_elsewhere_much():
    looks = data.Looks(torch.tensor([[0, 1, 0], [0, 2, 0], [0, 2, 1]]), torch.tensor([1.0, 0.5, 0.5]))
    right = torch.tensor([[[[0.0, -99, -99], [0, -99, -99], [0, 0, -99]]]])  # of one row and one head
    assert train.look_loss(right, looks) < 1e-6 and train.look_loss(right.flip(-1), looks) > 40
    assert train.look_loss(torch.cat([right, right.flip(-1)], 1), looks) == pytest.approx(train.look_loss(right.flip(-1), looks) / 2)


@pytest.mark.parametrize(("answer", "less", "reason"), [
    ('{"bbox_2d": [97, 142, 581, 9]}', "721", "two digits and more"),
    ('{"bbox_3d": [-0.25, 1.10, 3.04]}', "504", "the hundredths of metres"),
    ('<p data-bbox="10 20 300 40">4417</p>', "0000", "QwenVL HTML; the text in it is read"),
    ("<!-- Image (10, 25, 300, 407) -->", "0507", "QwenVL Markdown"),
    ("00:02.00 - 00:13.00", "", "times"),
    ("4417", "", "a code"),
    ("(361) 555-8325", "", "a telephone number"),
])  # fmt: skip
def test_the_last_digit_of_a_coordinate_counts_less_and_that_of_anything_else_does_not(answer, less, reason):
    weights = token_weights(answer, [(at, at + 1) for at in range(len(answer))])
    assert "".join(character for character, weight in zip(answer, weights, strict=True) if weight == 0.25) == less, reason


def test_a_token_of_several_letters_looks_at_all_of_them_and_no_further():
    processor = AutoProcessor.from_pretrained(TINY_FOLDER.with_name("tiny_pages"))
    page = pages.render(np.random.default_rng(3), (256, 352), kind="receipt")
    turn = page_tasks.ask(page, np.random.default_rng(0), page_tasks.read_all)
    _, spans = Packer(processor.tokenizer).spans(turn.answer)
    written = {}
    for at, looked in spoken(turn, spans):
        first, last = spans[at]
        letters = "".join(glyph.character for glyph in looked if glyph)
        assert letters == turn.answer[first:last].replace(" ", "").replace("\n", "") or not turn.answer[first:last].strip()
        written[len(letters)] = letters
    assert max(written) >= 4 and 1 in written
