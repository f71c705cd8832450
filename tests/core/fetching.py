"""What the tests of fetching share: a sink in memory, and fetches into it with short timeouts."""

import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.origin import noise
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching import client
from vimeo_api.core.fetching.client import Fetched, Limits

CONTENT = noise(1_000_000)
QUICK = Limits(backoff=0.001, retries=3)


class Memory:
    """A sink that keeps everything, and fails where it is told to."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.data = bytearray()
        self.present: list[tuple[int, int]] = []
        self.offers: list[tuple[Fetched, bool]] = []
        self.fails_after = fails_after
        self._lock = threading.Lock()

    def spans(self) -> list[tuple[int, int]]:
        return list(self.present)

    def begin(self, offer: Fetched, *, resumed: bool) -> None:
        self.offers.append((offer, resumed))
        if not resumed:
            self.data, self.present = bytearray(), []

    def write_at(self, offset: int, data: memoryview, /) -> None:
        end = offset + len(data)
        with self._lock:
            if self.fails_after is not None and self.written + len(data) > self.fails_after:
                raise StorageFull("No space left on device")
            assert all(end <= a or offset >= b for a, b in self.present), "a byte was written twice"
            self.data.extend(bytes(max(0, end - len(self.data))))
            self.data[offset:end] = data
            self.present.append((offset, end))

    @property
    def written(self) -> int:
        return sum(end - start for start, end in self.present)


fetch = partial(client.fetch, allow_private=True, limits=QUICK)


def fetched(url: str, **options: Any) -> bytes:
    sink = Memory()
    found = fetch(url, sink, **options)
    assert found.version.size == len(sink.data) == sink.written
    return bytes(sink.data)


def names(*answers: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Return a resolver that gives one answer after the other, and the last one from then on."""
    left = list(answers)

    def resolver(_host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0) if len(left) > 1 else left[0], port))]

    return resolver
