"""Many conversations at once: replies in order, what is finished kept, what failed named.

What a journal or the cache has is not asked again. A model gives its replies as they finish; each goes into the journal
and the cache at once, so that nothing is lost when a later one fails or the process ends.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, nullcontext

from .cache import CacheMiss, Request, open_cache
from .faults import KeyRefused, ModelError, UnknownModel
from .journal import Journal
from .reply import Reply

_FOR_ALL = (KeyRefused, UnknownModel)  # faults that every further request would meet
_NAMED = 5  # failed requests in a message


class BatchError(RuntimeError):
    """Some requests of a batch failed.

    replies: one for each conversation, None where it failed; errors: the exceptions by the conversation's index.
    """

    def __init__(self, replies: list, errors: dict[int, Exception], journal=None):
        named = "; ".join(f"[{index}] {errors[index]}" for index in sorted(errors)[:_NAMED])
        more = f"; and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
        kept = f"in {journal.path}: run the same batch again to ask for the failed ones only" if journal else "in .replies"
        super().__init__(f"{len(errors)} of {len(replies)} requests failed: {named}{more}; the finished ones are kept {kept}")
        self.replies, self.errors = replies, errors


class NotSent(ModelError):
    """A request of a batch that was not sent, because it would have met the same fault as an earlier one."""


def answer_all(count: int, request: Callable[[int], Request], ask: Callable, *, journal=None, progress=False) -> list[Reply]:
    """Give the replies to `count` conversations, in order.

    request(i): how the i-th is known; ask(indices): gives `(place in indices, reply or exception)` as they finish.
    Raises BatchError when some failed, and whatever `ask` raises.
    """
    cache, replies, errors = open_cache(), [None] * count, {}
    with closing(Journal(journal)) if journal else nullcontext() as book:
        keys = [request(index) for index in range(count)] if cache or book else []
        for index, key in enumerate(keys):
            try:
                replies[index] = _known(key, book, cache)
            except CacheMiss as miss:
                errors[index] = miss
        missing = [index for index, reply in enumerate(replies) if reply is None and index not in errors]
        for place, outcome in _with_bar(ask(missing) if missing else (), count, count - len(missing), progress):
            index = missing[place]
            if isinstance(outcome, Exception):
                errors[index] = outcome
                continue
            replies[index] = outcome
            if book:
                book.add(keys[index], outcome)
            if cache:
                cache.keep(keys[index], outcome)
        if errors:
            raise BatchError(replies, errors, book)
    return replies


def _known(key: Request, book: Journal | None, cache) -> Reply | None:
    """The reply that is there already; the journal goes before the cache."""
    if book and (reply := book.take(key)):
        return reply
    found = cache.find(key) if cache else None
    if found and book:
        book.add(key, found[0])
    return found[0] if found else None


def _with_bar(outcomes: Iterable, total: int, done: int, progress: bool) -> Iterable:
    from tqdm import tqdm

    with tqdm(total=total, initial=done, disable=not progress, leave=False, unit="reply") as bar:
        for outcome in outcomes:
            bar.update(1)
            yield outcome


def in_parallel(answer: Callable[[int], Reply], count: int, concurrency: int) -> Iterable[tuple[int, Reply | Exception]]:
    """Call answer(0 .. count - 1) in threads, and give each outcome as it comes.

    A fault that all would meet (a refused key, an unknown model) ends it: requests not yet sent are given as NotSent.
    """
    pool = ThreadPoolExecutor(max_workers=min(concurrency, count), thread_name_prefix="chat_batch")
    places = {pool.submit(answer, index): index for index in range(count)}
    fatal = None
    try:
        for future in as_completed(places):
            if future.cancelled():
                yield places[future], NotSent(f"not sent, since an earlier request met this: {fatal}")
                continue
            error = future.exception()
            if error is not None and not isinstance(error, Exception):
                raise error
            if isinstance(error, _FOR_ALL) and fatal is None:
                fatal = error
                for other in places:
                    other.cancel()
            yield places[future], error or future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
