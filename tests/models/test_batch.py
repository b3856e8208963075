"""Many conversations: order, concurrency, faults that cost nothing else, and a journal that a crash cannot spoil."""

import json
import time

import pytest
from faulty_server import late, reset, says, status

from cookbook_utils.models import BatchError
from cookbook_utils.models.batch import NotSent
from cookbook_utils.models.faults import KeyRefused, RequestRefused


def chat(text) -> list[dict]:
    return [{"role": "user", "content": str(text)}]


def echo(handler, body):
    """Answers with the question; "bad" is refused, "slow" takes its time."""
    words = body["messages"][-1]["content"]
    if "slow" in words:
        time.sleep(0.05)
    (status(400, "bad picture") if "bad" in words else says(f"re: {words}"))(handler, body)


def texts(replies) -> list:
    return [reply and reply.text for reply in replies]


@pytest.fixture
def served(server, at):
    server.script = [echo]
    return at("vllm", total_timeout_s=5)


def test_replies_come_in_the_order_of_the_conversations(served):
    questions = ["slow 0", *map(str, range(1, 12))]
    assert texts(served.chat_batch([chat(text) for text in questions], concurrency=4)) == [f"re: {text}" for text in questions]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_no_more_requests_are_under_way_than_wanted(server, served, concurrency):
    server.script = [late(0.03, says("a"))]
    served.chat_batch([chat(number) for number in range(12)], concurrency=concurrency)
    assert server.most_under_way == concurrency


def test_what_fails_costs_nothing_else(server, served):
    with pytest.raises(BatchError, match=r"2 of 5 requests failed: \[1\] vLLM at .* bad picture; \[3\] .*finished ones are kept in .replies") as caught:
        served.chat_batch([chat(text) for text in ("0", "bad 1", "2", "bad 3", "4")])
    assert texts(caught.value.replies) == ["re: 0", None, "re: 2", None, "re: 4"]
    assert sorted(caught.value.errors) == [1, 3] and all(isinstance(e, RequestRefused) for e in caught.value.errors.values())


def test_each_request_has_its_own_patience(server, served, clock):
    server.script = [status(429), reset, status(500), says("a")]
    assert texts(served.chat_batch([chat(number) for number in range(4)], concurrency=2)) == ["a"] * 4
    assert len(clock.pauses) == 3


def test_a_refused_key_ends_the_batch(server, served):
    server.script = [says("a"), says("a"), status(401, "expired")]
    with pytest.raises(BatchError, match="expired") as caught:
        served.chat_batch([chat(number) for number in range(50)], concurrency=1)
    errors = caught.value.errors
    assert isinstance(errors[2], KeyRefused) and len(server.requests) <= 5, "the rest was not sent"
    assert len(errors) == 48 and isinstance(errors[49], NotSent) and "earlier request met this: vLLM at" in str(errors[49])


def test_a_bad_picture_is_found_before_anything_is_sent(server, served):
    with pytest.raises(FileNotFoundError, match=r"list_of_messages\[1\]: messages\[0\].content\[0\].image: no such file"):
        served.chat_batch([chat("a"), [{"role": "user", "content": [{"image": "none.png"}]}]])
    assert server.requests == []


@pytest.mark.parametrize(("options", "words"), [({"concurrency": 0}, "concurrency must be a whole number from 1, got 0"), ({"concurrency": True}, "got True")])
def test_a_wrong_number_is_named(served, options, words):
    with pytest.raises(ValueError, match=words):
        served.chat_batch([chat("a")], **options)


def test_an_empty_batch_asks_nobody(server, served):
    assert served.chat_batch([]) == [] and server.requests == []


def test_a_bar_shows_how_far_it_is(served, capsys):
    served.chat_batch([chat(number) for number in range(20)])
    assert "/20 [" in capsys.readouterr().err
    served.chat_batch([chat(number) for number in range(20)], progress=False)
    assert capsys.readouterr().err == ""


# --- the journal ----------------------------------------------------------------------------------------------------


def test_a_batch_goes_on_where_it_was(server, served, tmp_path):
    chats, journal = [chat(text) for text in ("0", "bad 1", "2")], tmp_path / "run" / "replies.jsonl"
    with pytest.raises(BatchError, match="kept in .*replies.jsonl: run the same batch again"):
        served.chat_batch(chats, journal=journal)
    server.script = [says("mended")]
    assert texts(served.chat_batch(chats, journal=journal)) == ["re: 0", "mended", "re: 2"]
    assert len(server.requests) == 4 and len(journal.read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_that_was_cut_off_is_asked_again(server, served, tmp_path, cut):
    chats, journal = [chat(number) for number in range(3)], tmp_path / "replies.jsonl"
    served.chat_batch(chats, journal=journal, concurrency=1)
    journal.write_text(journal.read_text()[:-cut])
    replies = served.chat_batch(chats, journal=journal)
    assert texts(replies) == ["re: 0", "re: 1", "re: 2"] and len(server.requests) == 3 + (cut > 1)
    assert texts(served.chat_batch(chats, journal=journal)) == texts(replies) and len(server.requests) == 3 + (cut > 1)


def test_a_batch_may_grow_and_be_reordered(server, served, tmp_path):
    journal = tmp_path / "replies.jsonl"
    served.chat_batch([chat(number) for number in range(3)], journal=journal)
    assert texts(served.chat_batch([chat(number) for number in (3, 2, 1, 0)], journal=journal)) == ["re: 3", "re: 2", "re: 1", "re: 0"]
    assert len(server.requests) == 4


def test_repeated_requests_keep_their_own_replies(server, served, tmp_path):
    server.script = [says("a"), says("b"), status(400), says("c")]
    journal = tmp_path / "replies.jsonl"
    with pytest.raises(BatchError):
        served.chat_batch([chat("?")] * 3, journal=journal, concurrency=1)
    assert sorted(texts(served.chat_batch([chat("?")] * 3, journal=journal))) == ["a", "b", "c"]


def test_another_setting_is_another_request(server, served, tmp_path):
    journal = tmp_path / "replies.jsonl"
    for seed in (1, 2, 1):
        served.chat_batch([chat("?")], journal=journal, seed=seed)
    assert len(server.requests) == 2


def test_a_reply_is_written_down_at_once(server, served, tmp_path):
    journal, seen = tmp_path / "replies.jsonl", []

    def look(handler, body):
        seen.append(len(journal.read_text().splitlines()))
        says("a")(handler, body)

    server.script = [look]
    served.chat_batch([chat(number) for number in range(3)], journal=journal, concurrency=1)
    assert seen[0] == 0 and seen[-1] >= 1


def test_another_file_is_left_alone(served, tmp_path):
    (tmp_path / "notes.txt").write_text("my\nnotes\n")
    with pytest.raises(ValueError, match="notes.txt is there, and is no journal of a batch"):
        served.chat_batch([chat("a")], journal=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "my\nnotes\n"


def test_a_journal_is_readable_without_this_library(served, tmp_path):
    served.chat_batch([chat("猫")], journal=tmp_path / "a.jsonl")
    (line,) = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["prompt"] == "猫" and json.loads(line)["reply"]["text"] == "re: 猫"


def test_models_on_this_machine_have_a_journal_too(model, tmp_path, monkeypatch):
    chats = [chat("Hello"), chat("Who?")]
    first = model.chat_batch(chats, journal=tmp_path / "a.jsonl", max_new_tokens=3)
    monkeypatch.setattr(model.network, "generate", None)
    assert model.chat_batch(chats, journal=tmp_path / "a.jsonl", max_new_tokens=3) == first
