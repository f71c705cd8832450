"""Redis, the cache: down, frozen, full."""

import pytest
import requests

from tests.outages.requesting import delete, get, link, stream
from tests.production.parts import frozen, full, stopped
from tests.services import Service, await_, used_up
from vimeo_api.web.hooks.refusal_cache import KEPT_SECONDS

ROW = "Redis, the cache"
OUTLIVED = KEPT_SECONDS[404] / 2  # seconds; long before it would be forgotten


@pytest.mark.parametrize("how", [stopped, frozen, full])
def test_uploads_downloads_and_deletes_go_on(stack: Service, how: object) -> None:
    with how(stack, "redis-cache"):  # type: ignore[operator]
        for _ in range(3):
            once = link(stack, b"x", password="p")
            assert get(once).status_code == 401
            answer = get(once, params={"password": "p"})
            assert (answer.status_code, answer.content) == (200, b"x")
            assert used_up(once, params={"password": "p"})
        kept = stream(stack)
        assert get(kept).content == b"content"
        assert delete(kept).status_code == 200
        assert get(kept).status_code == 404


@pytest.mark.parametrize("how", [frozen, full])
def test_no_refusal_outlives_what_has_made_it_wrong(stack: Service, how: object) -> None:
    name = f"{stack.url}/download/away-{how.__name__}.txt"  # type: ignore[attr-defined]
    for _ in range(4):  # so often that every process and nginx itself remember it
        assert get(name).status_code == 404
    with how(stack, "redis-cache"):  # type: ignore[operator]
        made = requests.post(name.replace("/download/", "/upload/"), data=b"x", timeout=60)
        assert made.status_code == 201
        if how is full:
            await_(lambda: get(name).status_code == 200, OUTLIVED)
    await_(lambda: get(name).status_code == 200, OUTLIVED)
