"""Killed parts: each one serves again by itself, and none of its processes stays."""

import os
import signal

import pytest
import requests

from tests.production.parts import alive, children, pid_of
from tests.services import Service, await_

CONTENT = b"content"


def answers(service: Service) -> bool:
    """Return whether the service takes a stream and gives it back, by nginx's second server, too."""
    try:
        created = requests.post(f"{service.url}/v1/streams", data=CONTENT, timeout=60)
        link = f"{service.url}/v1/streams/{created.json()['id']}" if created.status_code == 201 else ""
        return bool(link) and requests.get(link, timeout=60).content == CONTENT
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("part", ["nginx", "web", "postgres"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_part_that_is_killed_comes_back_and_leaves_no_process(stack: Service, part: str, *, whole: bool) -> None:
    head = pid_of(stack, part)
    workers = children(head)
    for pid in [head, *workers] if whole else [head]:
        os.kill(pid, signal.SIGKILL)
    await_(lambda: not any(map(alive, [head, *workers])), 60)
    await_(lambda: answers(stack), 120)
