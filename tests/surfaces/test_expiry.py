"""Files that live for a while only: gone from then on for everybody, and their bytes soon after."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import requests

from tests.services import Service, await_, running

STORE_SECONDS = 3


@pytest.fixture(scope="module", params=["embedded", "production"])
def brief(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service; the surface `store` keeps nothing for long."""
    settings = {"STORE_EXPIRES_SECONDS": str(STORE_SECONDS), "NAMED_EXPIRES_SECONDS": "3600"}
    with running(request.param, tmp_path_factory.mktemp("brief") / "data", **settings) as service:
        yield service


def upload(service: Service, surface: str, seconds: object) -> requests.Response:
    """Store a file that is to live for so many seconds."""
    form = {"files": {"file": ("a.xls", b"brief")}, "data": {"expires_in": str(seconds)}, "timeout": 60}
    asked = {"data": b"brief", "params": {"expires_in": str(seconds)}, "timeout": 60}
    if surface == "vimeo":
        return requests.put(service.vimeo, **form)  # type: ignore[arg-type]
    if surface == "streams":
        return requests.post(f"{service.url}/v1/streams", **asked)  # type: ignore[arg-type]
    if surface == "queue":
        return requests.post(f"{service.url}/v1/queues/q/streams", **asked)  # type: ignore[arg-type]
    if surface == "named":
        return requests.post(f"{service.url}/upload/brief.txt", **asked)  # type: ignore[arg-type]
    if surface == "form":
        return requests.post(f"{service.url}/upload", allow_redirects=False, **form)  # type: ignore[arg-type]
    return requests.post(f"{service.url}/uploadFile", **form)  # type: ignore[arg-type]


def link_to(service: Service, surface: str, seconds: object) -> str:
    return link_of(service, surface, upload(service, surface, seconds))


def link_of(service: Service, surface: str, answer: requests.Response) -> str:
    assert answer.status_code in {200, 201, 302}, answer.text
    if surface == "vimeo":
        return str(answer.json()["url"])
    if surface in {"streams", "queue"}:
        return f"{service.url}/v1/streams/{answer.json()['id']}"
    if surface in {"named", "form"}:
        return f"{service.url}/download/{'brief.txt' if surface == 'named' else 'a.xls'}"
    return f"{service.url}/downloadFile?file_id={answer.json()['file_id']}"


def head(url: str) -> int:
    return requests.head(url, timeout=60).status_code


def read_in_time(seconds: float, store: Callable[[], str]) -> str:
    """Store a file that lives for so long and read it, anew where its time is over before that; return its URL."""

    def read() -> str:
        begun = time.monotonic()
        url = store()
        statuses = [head(url) for _ in range(3)]
        if time.monotonic() - begun >= seconds:
            await_(lambda: head(url) != 200)
            return ""
        assert statuses == [200] * 3
        return url

    return await_(read)


SURFACES = ["vimeo", "streams", "queue", "named", "form", "transfer"]


@pytest.mark.parametrize("surface", SURFACES)
def test_a_file_is_gone_once_its_time_is_over(brief: Service, surface: str) -> None:
    await_(lambda: not brief.stored())
    for seconds in (3, 4):  # the second under the key of the first, where clients choose it
        url = read_in_time(seconds, partial(link_to, brief, surface, seconds))
        await_(lambda url=url: head(url) != 200)  # type: ignore[misc]
        assert head(url) == (410 if surface == "vimeo" else 404)
        assert "brief.txt" not in requests.get(f"{brief.url}/download", timeout=60).text
        assert requests.get(f"{brief.url}/v1/queues/q/first", timeout=60).status_code == 404
    await_(lambda: not brief.stored())
    assert head(url) == (410 if surface == "vimeo" else 404)


def test_a_surface_may_keep_nothing_for_long(brief: Service) -> None:
    def store() -> str:
        return f"{brief.url}/?file_hash={requests.post(brief.url, data=b'store', timeout=60).text}"

    url = read_in_time(STORE_SECONDS, store)
    await_(lambda: head(url) == 404)
    assert read_in_time(STORE_SECONDS, store) == url
    await_(lambda: head(url) == 404)
    await_(lambda: not brief.stored())


def test_storing_content_again_prolongs_its_life(brief: Service) -> None:
    def stored_again_and_read() -> int | None:
        begun = time.monotonic()
        digest = requests.post(brief.url, data=b"again", timeout=60).text
        status = head(f"{brief.url}/?file_hash={digest}")
        return status if time.monotonic() - begun < STORE_SECONDS else None

    assert {stored_again_and_read() for _ in range(100)} - {None} == {200}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1.5", "", "٣", "9999999999"])
def test_a_life_that_is_no_number_of_seconds_is_refused(brief: Service, surface: str, seconds: str) -> None:
    assert upload(brief, surface, seconds).status_code == 400
