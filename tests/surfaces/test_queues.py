"""The queues of the surface `streams` as their clients see them."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.services import Service, await_
from tests.surfaces.streams import create, url


class Queue:
    """A queue of its own for a test."""

    def __init__(self, service: Service) -> None:
        self.url = f"{service.url}/v1/queues/q-{random.randrange(10**9)}"

    def put(self, content: bytes) -> str:
        answer = requests.post(f"{self.url}/streams", data=content, timeout=60)
        assert answer.status_code == 201
        return str(answer.json()["id"])

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}/{path}", timeout=60)

    def take(self, seconds: int = 30) -> requests.Response:
        return requests.post(f"{self.url}/take", params={"seconds": str(seconds)}, timeout=60)

    def confirm(self, taken: dict[str, str]) -> int:
        path = f"{self.url}/streams/{taken['id']}"
        return requests.delete(path, params={"receipt": taken["receipt"]}, timeout=60).status_code


def test_a_queue_lists_its_streams_in_the_order_of_creation(service: Service) -> None:
    queue = Queue(service)
    keys = [queue.put(b"%d" % number) for number in range(7)]
    create(service, b"not in the queue")
    listed, after = [], ""
    while after is not None:
        page = queue.get(f"streams?limit=3&after={after}").json()
        listed += [stream["id"] for stream in page["streams"]]
        after = page["next"]
    assert listed == keys
    assert queue.get("first").json()["id"] == keys[0]
    assert queue.get(f"streams/{keys[2]}/next").json()["id"] == keys[3]
    assert queue.get(f"streams/{keys[2]}/previous").json()["id"] == keys[1]
    assert queue.get(f"streams/{keys[0]}/previous").status_code == 404
    assert queue.get(f"streams/{keys[6]}/next").status_code == 404
    assert requests.get(url(service, keys[4]), timeout=60).content == b"4"


def test_an_empty_queue_is_filled_at_the_very_next_request(service: Service) -> None:
    queue = Queue(service)
    for _ in range(3):
        assert queue.get("first").status_code == 404
        assert queue.take().status_code == 404
    key = queue.put(b"x")
    assert queue.get("first").json()["id"] == key
    assert queue.get(f"streams/{key}/next").status_code == 404
    second = queue.put(b"y")
    assert queue.get(f"streams/{key}/next").json()["id"] == second


def test_each_stream_is_taken_once_and_confirmed_by_deleting_it(service: Service) -> None:
    queue = Queue(service)
    keys = [queue.put(b"%d" % number) for number in range(20)]
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: queue.take(), range(25)))
    taken = [answer.json() for answer in answers if answer.status_code == 200]
    assert sorted(stream["id"] for stream in taken) == sorted(keys)
    assert [answer.status_code for answer in answers].count(404) == 5
    assert {queue.confirm(stream) for stream in taken} == {200}
    assert queue.get("streams").json() == {"streams": [], "next": None}


def test_a_taken_stream_comes_back_to_its_place_when_the_receipt_lapses(service: Service) -> None:
    def taken() -> tuple[Queue, str, dict[str, str]] | None:
        """Take two streams, the first for a second; None if that was over before the second was taken."""
        queue = Queue(service)
        first, second = queue.put(b"1"), queue.put(b"2")
        begun = time.monotonic()
        early = queue.take(seconds=1).json()
        then = queue.take(seconds=600).json()
        if time.monotonic() - begun >= 1:
            return None
        assert (early["id"], then["id"]) == (first, second)
        return queue, first, early

    found = await_(taken)
    assert found
    queue, first, early = found
    again = await_(lambda: [a for a in [queue.take(seconds=600)] if a.status_code == 200])[0].json()
    assert again["id"] == first
    assert queue.confirm(early) == 409
    assert queue.confirm(again) == 200
    assert queue.confirm(again) == 404
