"""The local backend: inputs against transformers' own path, batches against single calls, streams against replies."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from cookbook_utils.coordinates import image_tokens
from cookbook_utils.models.local import PresencePenalty, batches_by_length
from cookbook_utils.models.messages import question, read_messages

SHORT = {"max_new_tokens": 6}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def user(*parts) -> list[dict]:
    return [{"role": "user", "content": list(parts)}]


def inputs(model, messages, **budget):
    return model._inputs([read_messages(messages, **budget)])


# --- what the model gets --------------------------------------------------------------------------------------------


def test_a_message_becomes_what_transformers_makes_of_it(model):
    messages = user({"type": "image", "image": noise(200, 150)}, {"type": "image", "image": noise(90, 150)}, {"type": "text", "text": "Compare."})
    theirs = model.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    ours = inputs(model, messages)
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def grid_size(row) -> tuple[int, int]:
    return (row[2] * 16, row[1] * 16)


def test_every_picture_keeps_its_own_budget(model):
    own = {"type": "image", "image": noise(400, 300), "max_pixels": 20_000}
    plain = {"type": "image", "image": noise(300, 200)}
    size = model.processor.image_processor.size
    wanted = [
        image_tokens((400, 300), size["shortest_edge"], 20_000)[0],
        image_tokens((300, 200), size["shortest_edge"], size["longest_edge"])[0],
    ]
    grids = inputs(model, user(own, plain))["image_grid_thw"].tolist()
    assert [grid_size(row) for row in grids] == wanted


@pytest.mark.parametrize("budget", [{"max_pixels": 10_000}, {"min_pixels": 60_000, "max_pixels": 70_000}, {"min_pixels": 200_000}])
def test_a_calls_budget_holds_for_its_pictures(model, budget):
    size = model.processor.image_processor.size
    most = budget.get("max_pixels", max(size["longest_edge"], 200_000))
    wanted = image_tokens((250, 200), min(budget.get("min_pixels", size["shortest_edge"]), most), most)[0]
    grid = inputs(model, user({"type": "image", "image": noise(250, 200)}), **budget)["image_grid_thw"][0]
    assert grid_size(grid.tolist()) == wanted


@pytest.mark.parametrize(("count", "fps", "times"), [(4, 2, [0.25, 1.25]), (4, 8, [0.0625, 0.3125]), (5, 1, [0.5, 2.5, 4.0]), (1, 2, [0.0])])
def test_frames_carry_their_times(model, count, fps, times):
    clip = {"type": "video", "video": [noise(96, 64, index) for index in range(count)], "fps": fps}
    batch = inputs(model, user(clip, {"type": "text", "text": "When?"}))
    prompt = model.tokenizer.decode(batch["input_ids"][0])
    assert [f"<{time:.1f} seconds>" in prompt for time in times] == [True] * len(times)
    assert prompt.count(" seconds>") == len(times) == batch["video_grid_thw"][0, 0]


def test_a_frames_budget_is_each_frames_own(model):
    clip = {"type": "video", "video": [noise(320, 320)] * 2, "max_pixels": 5000}
    assert inputs(model, user(clip))["video_grid_thw"].tolist() == [[1, 4, 4]]


def test_tools_are_written_into_the_prompt(model):
    tool = {"type": "function", "function": {"name": "press_key", "parameters": {}}}
    conversation = read_messages([{"role": "user", "content": "Press."}], tools=[tool])
    assert '"press_key"' in model._prompt(conversation) and "<tools>" in model._prompt(conversation)


# --- what comes back ------------------------------------------------------------------------------------------------


def test_a_reply_counts_its_tokens(model):
    reply = model.ask("What is this?", noise(256, 256), **SHORT)
    assert reply.usage["image_tokens"] == 64 and reply.usage["prompt_tokens"] > 64
    assert 1 <= reply.usage["completion_tokens"] <= 6 and reply.seconds > 0


def test_the_reason_of_the_end_is_known(model, write):
    write("two cats")
    reply = model.ask("How many?")
    assert (reply.text, reply.finish_reason) == ("two cats", "stop")
    assert reply.usage["completion_tokens"] == len(model.tokenizer.encode("two cats")) + 1
    write("two ca", ended=False)
    assert (model.ask("How many?").text, model.ask("How many?").finish_reason) == ("two ca", "length")


def test_box_tokens_stay_in_the_text(model, write):
    write("<|object_ref_start|>cat<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>")
    assert model.ask("Where?").text.endswith("<|box_start|>(1,2),(3,4)<|box_end|>")


def test_thinking_that_the_template_opened_is_thinking_even_when_cut_off(model, write, monkeypatch):
    render = model._prompt
    monkeypatch.setattr(model, "_prompt", lambda conversation: render(conversation) + "<think>\n")
    write("still counting", ended=False)
    reply = model.ask("How many?")
    assert (reply.text, reply.thinking, reply.finish_reason) == ("", "still counting", "length")


def test_a_stop_text_ends_the_reply(model, write):
    write("one\ntwo\nthree", ended=False)
    reply = model.ask("Count.", stop="\ntwo")
    assert (reply.text, reply.finish_reason) == ("one", "stop")


def test_generation_ends_at_a_stop_text(model):
    prompt = "Where is the cat? Answer in JSON."
    whole = model.ask(prompt, max_new_tokens=8)
    last = whole.text[-1]
    stopped = model.ask(prompt, max_new_tokens=8, stop=last)
    assert stopped.text == whole.text[: whole.text.index(last)].strip()


# --- batches --------------------------------------------------------------------------------------------------------


def test_a_batch_answers_as_single_calls_do_and_in_their_order(model):
    chats = [
        question("Describe it.", noise(200, 100)),
        question("Hello"),
        question("Where is the dog? Output its box in JSON.", [noise(100, 200, 1), noise(96, 64, 2)]),
        question("When?", video=[noise(96, 64, index) for index in range(3)]),
        question("Describe it.", noise(120, 140, 3)),
    ]
    alone = [model.chat(chat, **SHORT) for chat in chats]
    together = model.chat_batch(chats, batch_size=3, progress=False, **SHORT)
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert [reply.usage for reply in together] == [reply.usage for reply in alone]


def test_rows_of_a_batch_end_on_their_own(model, write):
    write("a", "bb cc")
    first, second = model.chat_batch([question("Hello"), question("Hello")])
    assert (first.text, first.finish_reason, first.usage["completion_tokens"]) == ("a", "stop", 2)
    assert second.text == "bb cc"


def test_every_index_is_in_one_batch_and_lengths_are_alike():
    lengths = np.random.default_rng(0).integers(20, 3000, 200).tolist()
    batches = batches_by_length(lengths, 16)
    assert sorted(sum(batches, [])) == list(range(200)) and max(map(len, batches)) <= 16
    assert all(lengths[batch[0]] <= 1.3 * min(lengths[index] for index in batch) + 32 for batch in batches)


@pytest.mark.parametrize(("arguments", "options", "error", "words"), [
    ([question("a"), []], {}, TypeError, r"list_of_messages\[1\]: messages: expected a list"),
    ("hello", {}, TypeError, "list_of_messages: expected a list of lists of messages, got str"),
    ([question("a")], {"batch_size": 0}, ValueError, "batch_size must be a whole number from 1, got 0"),
    ([question("a")], {"max_tokens": 3}, TypeError, "unknown generation setting max_tokens"),
])
def test_a_wrong_batch_is_named(model, arguments, options, error, words):
    with pytest.raises(error, match=words):
        model.chat_batch(arguments, **options)


def test_an_empty_batch_has_no_replies(model):
    assert model.chat_batch([]) == []


# --- streams --------------------------------------------------------------------------------------------------------


def test_the_pieces_of_a_stream_are_the_reply(model):
    chat = question("Describe it.", noise(200, 100))
    pieces = list(model.stream(chat, **SHORT))
    assert "".join(pieces).strip() == model.chat(chat, **SHORT).text and all(pieces)


def test_characters_of_several_bytes_arrive_whole(model):
    from cookbook_utils.models.local import _Pieces

    text = "猫 café\n🐈!"
    streamer = _Pieces(model.tokenizer, model._ends)
    for token in [0, *model.tokenizer.encode(text, add_special_tokens=False), model._ends[0]]:  # the first is the prompt
        streamer.put(torch.tensor([token]))
    streamer.end()
    pieces = list(streamer)
    assert "".join(pieces) == text and not any("\ufffd" in piece for piece in pieces)


def test_an_error_in_the_thread_reaches_the_caller(model, monkeypatch):
    def fail(**_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.network, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(model.stream(question("Hello")))


def test_an_error_in_the_messages_is_raised_at_once(model):
    with pytest.raises(TypeError, match="messages: expected a list"):
        model.stream("Hello")


def test_leaving_a_stream_stops_the_model(model, monkeypatch):
    generate, ended = model.network.generate, []
    monkeypatch.setattr(model.network, "generate", lambda **kw: ended.append(generate(**kw).shape[1]))
    monkeypatch.setattr(model, "_ends", [model.tokenizer.convert_tokens_to_ids("<|vision_pad|>")])  # never written
    threads = threading.active_count()
    pieces = model.stream(question("Hello"), max_new_tokens=3000, presence_penalty=2.0)
    next(pieces)
    pieces.close()
    assert ended[0] < 1000 and threading.active_count() == threads


# --- settings -------------------------------------------------------------------------------------------------------


def test_a_seed_repeats_a_reply_and_leaves_other_random_numbers_alone(model):
    hot = {"temperature": 5.0, "top_k": 0, "top_p": 1.0, **SHORT}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    replies = [model.ask("Hello", seed=seed, **hot).text for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]
    assert torch.equal(torch.rand(2), expected)


def test_the_presence_penalty_counts_what_was_written_once(model):
    scores = torch.zeros(2, 6)
    ids = torch.tensor([[5, 1, 1, 2], [5, 3, 4, 4]])  # a prompt of one token, then three written
    assert PresencePenalty(1.5, 1)(ids, scores).tolist() == [[0, -1.5, -1.5, 0, 0, 0], [0, 0, 0, -1.5, -1.5, 0]]
    assert PresencePenalty(1.5, 4)(ids, scores).tolist() == scores.tolist()


def test_settings_are_checked_before_the_model_runs(model):
    with pytest.raises(ValueError, match="top_p must be"):
        model.ask("Hello", top_p=2)


def test_repr_names_spec_device_and_dtype(model):
    assert repr(model) == "Experts('tiny', device='cpu', dtype='float32')"
