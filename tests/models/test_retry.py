"""Patience: how long pauses are, when it ends, and what the last fault says. No test sleeps."""

import pytest

from cookbook_utils.models.faults import KeyRefused, ServerBusy, ServerFault, retry_after_s
from cookbook_utils.models.retry import Patience


def failing(*faults):
    """An attempt that meets these faults, then succeeds."""
    left = list(faults)

    def attempt(end):
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def test_pauses_double_up_to_the_longest(clock):
    assert clock.patience(longest_delay_s=3).run(failing(*[ServerFault("500")] * 5)) == "done"
    assert clock.pauses == [0.5, 1, 2, 3, 3]


def test_chance_takes_up_to_half_of_a_pause():
    shortest, longest = (Patience(chance=lambda value=value: value) for value in (0.0, 1.0))
    assert [p.pause_s(3) for p in (shortest, longest)] == [1.0, 2.0]


def test_the_servers_own_time_counts(clock):
    clock.patience().run(failing(ServerBusy("429", retry_after_s=7)))
    assert clock.pauses == [7.5]


@pytest.mark.parametrize(("fault", "total_s", "tries", "words"), [
    (ServerFault("500"), 5, 4, r"^500; tried 4 times within total_timeout_s=5$"),
    (ServerBusy("429", retry_after_s=90), 60, 1, "tried once within total_timeout_s=60, and the server asks to wait 90 s"),
])
def test_it_ends_before_the_total_time_does(clock, fault, total_s, tries, words):
    began, attempts = clock.time_s, []

    def attempt(end):
        attempts.append(end)
        raise fault

    with pytest.raises(type(fault), match=words) as caught:
        clock.patience(total_timeout_s=total_s).run(attempt)
    assert len(attempts) == tries and clock.time_s - began <= total_s
    assert caught.value.__context__ is None and caught.value.retry_after_s == fault.retry_after_s


def test_a_fault_that_stays_is_met_once(clock):
    with pytest.raises(KeyRefused, match="^401$"):
        clock.patience().run(failing(KeyRefused("401")))
    assert clock.pauses == []


def test_another_error_passes_through(clock):
    with pytest.raises(ZeroDivisionError):
        clock.patience().run(lambda end: 1 / 0)


@pytest.mark.parametrize(("value", "seconds"), [
    ("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("Thu, 01 Jan 1970 00:01:00 GMT", 20.0), ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
    ("soon", None), ("", None), (None, None),
])
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after_s(value, now=40.0) == seconds
