"""The connections to one host: all fetches share them, and a new fetch goes first."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.core.fetching import CONTENT, Memory, fetch, fetched
from tests.origin import Origin, Page
from vimeo_api.core.fetching.client import Cancelled, Limits
from vimeo_api.core.fetching.host_limits import Slots

pytestmark = pytest.mark.usefixtures("nothing_outlives_a_fetch")


def test_all_fetches_together_respect_the_connection_limit_of_a_host(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=2_000_000))
    limits = Limits(per_host=3)
    with ThreadPoolExecutor(6, thread_name_prefix="client") as clients:
        assert set(clients.map(lambda _: fetched(url, limits=limits), range(6))) == {CONTENT}
    assert 1 < origin.busiest <= 3


class Nowhere(Memory):
    def write_at(self, offset: int, data: memoryview, /) -> None:
        pass


def test_a_large_fetch_gives_up_connections_for_a_new_one(origin: Origin) -> None:
    # The big one has all connections, and would need minutes for any of its ranges.
    big = origin.serve("/big", Page(CONTENT * 64, throttle=100_000))
    small = origin.serve("/small", Page(b"small"))
    done, started = threading.Event(), threading.Event()
    limits = Limits(per_host=4, stall=3600)

    def look(got: int, _total: int | None) -> None:
        if got and origin.busiest == limits.per_host:
            started.set()

    with ThreadPoolExecutor(1, thread_name_prefix="client") as client, pytest.raises(Cancelled):
        future = client.submit(fetch, big, Nowhere(), limits=limits, progress=look, cancelled=done.is_set)
        assert started.wait(60)
        assert fetched(small, limits=limits) == b"small"
        done.set()
        future.result()


def test_the_first_connection_of_a_fetch_goes_before_extra_ones() -> None:
    slots, never, extra = Slots(), threading.Event(), threading.Event()
    held = slots.acquire("host", 1, first=True, stopped=never)
    assert held

    def take(limit: int, taken: threading.Event, *, first: bool) -> None:
        slot = slots.acquire("host", limit, first=first, stopped=never)
        assert slot
        assert taken is not extra or not slots.wanted("host")
        taken.set()
        slot.release()

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(take, 1, threading.Event(), first=True)
        while not slots.wanted("host"):
            assert not one.done()
        two = threads.submit(take, 9, extra, first=False)
        assert not extra.wait(0.2)  # there is a free connection, but another fetch has priority
        held.release()
        one.result()
        two.result()
    assert slots.hosts == set()
