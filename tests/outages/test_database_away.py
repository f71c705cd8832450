"""PostgreSQL: down, frozen, restarting under load, its disk full."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import requests

from tests.outages.disks import Shaky
from tests.outages.requesting import delete, get, link, put, refused_for_now, stream, upload
from tests.production.parts import frozen, restart, stopped
from tests.services import Service, await_

ROW = "PostgreSQL"
CLIENTS = 16  # as many as the service has threads


def works(service: Service) -> bool:
    return requests.get(f"{service.url}/readyz", timeout=60).status_code == 200


def test_requests_get_503_and_work_once_the_database_is_back(shaky: Shaky) -> None:
    stack = shaky.service
    once, kept = link(stack), stream(stack)
    with stopped(stack, "postgres"):
        for answer in (get(once), upload(stack), put(stack), delete(kept)):
            assert refused_for_now(answer)
        assert get(once).json() == {"error": "Service Unavailable", "message": "The service is away for a moment."}
    await_(lambda: works(stack))
    assert get(once).content == b"content"
    for _ in range(20):  # no process keeps a connection of the old server
        assert get(link(stack)).status_code == 200
    shaky.mend()


def test_a_hanging_database_does_not_block_requests_forever(shaky: Shaky) -> None:
    stack = shaky.service
    await_(lambda: works(stack))

    def asked(_: int) -> int:
        return get(f"{stack.url}/v1/streams/{uuid4()}").status_code

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert set(clients.map(asked, range(5 * CLIENTS))) == {404}  # connections are there
        once, kept = link(stack), stream(stack)
        with frozen(stack, "postgres"):
            calls: list[Callable[[], requests.Response]] = [
                lambda: upload(stack),
                lambda: put(stack),
                lambda: get(once),
                lambda: delete(kept),
            ]
            answers = [clients.submit(call) for call in calls]
            assert set(clients.map(asked, range(CLIENTS - 4))) == {503}
            assert all(refused_for_now(answer.result()) for answer in answers)
            assert get(f"{stack.url}/healthz").status_code == 200
    await_(lambda: works(stack))
    assert get(once).content == b"content"
    shaky.mend()


def test_nothing_is_lost_if_the_database_restarts_under_load(shaky: Shaky) -> None:
    stack = shaky.service
    done = threading.Event()

    def work(number: int) -> tuple[list[tuple[str, bytes]], list[requests.Response]]:
        kept: list[tuple[str, bytes]] = []
        others: list[requests.Response] = []
        while not done.is_set():
            content = f"{number}: {len(kept)} {uuid4()}".encode()
            answer = upload(stack, content)
            if answer.status_code == 201:
                kept.append((f"{stack.url}/v1/streams/{answer.json()['id']}", content))
                answer = get(kept[-1][0])
                if answer.status_code == 200:
                    assert answer.content == content
                    continue
            others.append(answer)
        return kept, others

    with ThreadPoolExecutor(4) as clients:
        workers = [clients.submit(work, number) for number in range(4)]
        try:
            for _ in range(3):
                restart(stack, "postgres")
                await_(lambda: works(stack) or any(worker.done() for worker in workers))
        finally:
            done.set()
        results = [worker.result() for worker in workers]
    kept = [one for kept, _ in results for one in kept]
    others = [answer for _, others in results for answer in others]
    assert kept
    assert [answer.text for answer in others if not refused_for_now(answer)] == []
    for url, content in kept:
        assert get(url).content == content
    shaky.mend()


def test_a_full_database_disk_has_the_same_effect(shaky: Shaky) -> None:
    service = shaky.service
    kept = stream(service)
    with shaky.filled("postgres"):
        answers = [upload(service)]
        while answers[-1].status_code == 201 and len(answers) < 2000:  # pages that it has already are filled first
            answers.append(upload(service))
        assert refused_for_now(answers[-1])
        assert get(kept).content == b"content"
    while answers[-1].status_code != 201:
        answers.append(upload(service))
    for answer in answers:
        if answer.status_code == 201:
            assert get(f"{service.url}/v1/streams/{answer.json()['id']}").content == b"content"
    # If a row may or may not exist, the bytes of the refused upload are left to the reconciliation.
    refused = [answer for answer in answers if refused_for_now(answer)]
    await_(lambda: len(shaky.unplaced()) == len(refused), 60)
    shaky.mend()
