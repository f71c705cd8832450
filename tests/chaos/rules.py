"""The rules for one-time files, checked against what clients saw and what the journal says; `audit` calls them."""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

from tests.chaos.inside import Delivery
from tests.chaos.ledger import Attempt, OneTime
from tests.chaos.onetime import UNREAD
from tests.services import SETTINGS

LEASE_SECONDS = float(SETTINGS["LEASE_SECONDS"])
LEASE_RATE = 64 * 1024**2  # bytes per second, LEASE_MIN_RATE
GONE, THERE = {410}, {200}


def doubled(file: OneTime, deliveries: Sequence[Delivery]) -> Iterator[str]:
    """Yield where it was sent to one client although another had it, or was downloading it."""
    resume_tokens = confirmed(file, deliveries)
    yield from _sent_again(file, resume_tokens)
    yield from _at_once(file)
    yield from _had_by_two(file, resume_tokens)


def wronged(file: OneTime, deliveries: Sequence[Delivery], *, journalled: bool) -> Iterator[str]:
    """Yield where it counts as used up although no client had it."""
    for resume_token in confirmed(file, deliveries):
        if max((one.received for one in _under(file, resume_token)), default=-1) < file.content.size - UNREAD:
            yield "used up by somebody who has not had it"
    if file.told_gone and not _perhaps_used_up(file, deliveries, journalled=journalled):
        yield "somebody was told that it is gone, and nobody has had it"


def answers(file: OneTime, deliveries: Sequence[Delivery], *, journalled: bool) -> set[int]:
    """Return the statuses that a client may get for it in the end."""
    if confirmed(file, deliveries) or file.told_gone:
        return GONE
    return THERE | GONE if _perhaps_used_up(file, deliveries, journalled=journalled) else THERE


def confirmed(file: OneTime, deliveries: Sequence[Delivery]) -> set[str]:
    """Return the resume tokens under which the journal says that all of it was sent at once."""
    whole = (0, file.content.size)
    return {delivery.lease_token for delivery in deliveries if delivery.complete and delivery.span == whole}


def _perhaps_used_up(file: OneTime, deliveries: Sequence[Delivery], *, journalled: bool) -> bool:
    size = file.content.size
    if not journalled:  # a client that read all of it may have used it up
        return any(attempt.start + attempt.received == size for attempt in file.attempts)
    complete = any(delivery.complete for delivery in deliveries)
    return complete and _covered([delivery.span for delivery in deliveries], size)


def _sent_again(file: OneTime, resume_tokens: set[str]) -> Iterator[str]:
    for resume_token in resume_tokens:
        ends = [one.reply.ended_at for one in _under(file, resume_token) if one.reaches(file.content.size)]
        for other in file.attempts:
            if ends and other.resume_token != resume_token and other.reply.sent_at > max(ends):
                yield f"sent again {other.reply.sent_at - max(ends):.3f} s after it was used up"


def _at_once(file: OneTime) -> Iterator[str]:
    """Yield where one client was sent the file while another was downloading it within its lease."""
    for one, other in permutations(file.attempts, 2):
        held_until = min(one.reply.sent_at + _lease(file), one.reply.ended_at)
        if one.resume_token != other.resume_token and one.reply.heard_at <= other.reply.heard_at < held_until:
            yield "sent to two at once"


def _had_by_two(file: OneTime, resume_tokens: set[str]) -> Iterator[str]:
    """Yield where nginx sent all of it to two clients, although the lease of the first had not lapsed."""
    for one, other in combinations(
        (attempt for resume_token in resume_tokens for attempt in _under(file, resume_token)), 2
    ):
        if one.resume_token != other.resume_token and abs(one.reply.sent_at - other.reply.sent_at) < _lease(file):
            yield "had by two"


def _lease(file: OneTime) -> float:
    return LEASE_SECONDS + file.content.size / LEASE_RATE


def _under(file: OneTime, resume_token: str) -> list[Attempt]:
    return [attempt for attempt in file.attempts if attempt.resume_token == resume_token and attempt.start == 0]


def _covered(spans: Sequence[tuple[int, int]], size: int) -> bool:
    reached = 0
    for start, stop in sorted(spans):
        if start <= reached:
            reached = max(reached, stop)
    return reached >= size
