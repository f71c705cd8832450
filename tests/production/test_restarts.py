"""Killed parts: each one serves again by itself, and none of its processes stays."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.production.parts import alive, children, pid_of
from tests.production.test_uploads import begun
from tests.services import Service, await_
from vimeo_api.core.maintenance import dead_bodies

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


def age(body: Path) -> None:
    """Make a body look as if nothing had come of it for a while."""
    last = time.time() - dead_bodies.AGE_SECONDS
    with suppress(FileNotFoundError):
        os.utime(body, (last, last))


def is_gone(body: Path) -> bool:
    """Return whether a sweep has removed a body, though it may look young again."""
    age(body)
    return not body.exists()


def test_the_body_of_a_killed_nginx_goes_and_that_of_a_reloaded_one_stays(stack: Service) -> None:
    before = stack.spooled()
    with begun(stack, random.randbytes(2 * 1024**2)):
        body = await_(lambda: stack.spooled() - before).pop()
        head = pid_of(stack, "nginx")
        old = set(children(head))
        os.kill(head, signal.SIGHUP)
        await_(lambda: set(children(head)) > old)  # the old workers end once they have received what they began
        dead = body.with_name("0" * len(body.name))
        dead.write_bytes(CONTENT)
        os.chown(dead, body.stat().st_uid, body.stat().st_gid)
        age(body)
        await_(lambda: is_gone(dead))
        assert body.exists()
        for pid in [head, *children(head)]:
            os.kill(pid, signal.SIGKILL)
        await_(lambda: is_gone(body))
    await_(lambda: answers(stack), 120)
