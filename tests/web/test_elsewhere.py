"""What a host answers about files that lie in the pending area of another one."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from tests.hosts import two_hosts
from vimeo_api.core import hosts
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Host, Status
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.fetching import joining
from vimeo_api.core.files import catalog, placing
from vimeo_api.core.resumable import rows

ADDRESS = "127.0.0.1:9"
TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[Flask, Flask]]:
    with two_hosts(tmp_path, PEER_ADDRESS=ADDRESS) as apps:
        yield apps


def said(answer: TestResponse) -> dict[str, Any]:
    return answer.json or {}


def stream(app: Flask) -> str:
    """Return the path of a new stream."""
    return f"/v1/streams/{said(app.test_client().post('/v1/streams', data=b'content'))['id']}"


def link(app: Flask) -> str:
    """Return the path of a new one-time file."""
    answer = app.test_client().put("/vimeo/api/v1.0/file", data={"file": (io.BytesIO(b"content"), "a.txt")})
    return re.sub("^https?://[^/]+", "", said(answer)["url"])


def upload(app: Flask, content: bytes = b"") -> str:
    """Begin a resumable upload with all of its bytes, or none of 100; return its path."""
    headers = TUS | {"Upload-Length": str(len(content) or 100), "Content-Type": "application/offset+octet-stream"}
    answer = app.test_client().post("/uploads/streams", headers=headers, data=content)
    return re.sub("^https?://[^/]+", "", answer.headers["Location"])


def place(app: Flask, file_id: int) -> None:
    with app.app_context():
        placing.run(file_id)


def forget_addresses(app: Flask) -> None:
    with app.app_context():
        statements.execute(update(Host).values(address=None))


def test_nginx_is_sent_to_the_host_that_has_the_bytes(fleet: tuple[Flask, Flask]) -> None:
    a, b = fleet
    kept, once = stream(a), link(a)
    answer = b.test_client().get(kept)
    assert re.fullmatch("/_any/elsewhere/streams/[0-9a-f]{2}/[0-9a-f]{32}", answer.headers["X-Accel-Redirect"])
    with b.app_context():
        assert (answer.headers["X-Spool-Address"], answer.headers["X-Spool-Key"]) == (ADDRESS, hosts.key())
    answer = b.test_client().get(once)
    assert answer.headers["X-Accel-Redirect"].startswith("/_once/elsewhere/vimeo/")
    assert answer.headers["X-Ticket"]
    assert a.test_client().get(kept).headers["X-Accel-Redirect"].startswith("/_any/landing/")


def test_responses_about_pending_files_are_not_cached(fleet: tuple[Flask, Flask]) -> None:
    """A host cannot remove the bytes of another one at once, so nginx must ask each time."""
    a, b = fleet
    kept = stream(a)
    assert {app.test_client().get(kept).headers["X-Accel-Expires"] for app in fleet} == {"0"}
    place(a, 1)
    for app in fleet:
        until = app.test_client().get(kept).headers["X-Accel-Expires"].removeprefix("@")
        assert 590 < int(until) - now().timestamp() < 600
    assert b.test_client().get(kept).headers["X-Accel-Redirect"].startswith("/_any/small/")


def test_what_another_host_deletes_is_not_found_at_once(fleet: tuple[Flask, Flask]) -> None:
    """Also while a placed file still has a copy in the pending area of its host."""
    a, b = fleet
    pending, placed = stream(a), stream(a)
    place(a, 2)
    store = Path(a.config["SETTINGS"].store_dir)
    for path in (pending, placed):
        assert b.test_client().delete(path).status_code == 200
        assert {app.test_client().get(path).status_code for app in fleet} == {404}
    assert [file.parent.parent.name for file in store.glob("*/*/*")] == [], "cached responses would lead there"


def test_a_host_that_cannot_be_asked_is_away_and_nothing_is_used_up(fleet: tuple[Flask, Flask]) -> None:
    a, b = fleet
    kept, once = stream(a), link(a)
    forget_addresses(a)
    for path in (kept, once):
        answer = b.test_client().get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        assert "X-Accel-Expires" not in answer.headers
    with b.app_context():
        assert [catalog.by_id(number).status for number in (1, 2)] == [Status.AVAILABLE, Status.AVAILABLE]  # type: ignore[union-attr]


def test_a_join_waits_until_its_streams_are_placed(fleet: tuple[Flask, Flask]) -> None:
    a, b = fleet
    stream(a)
    with b.app_context():
        source = catalog.by_id(1)
        assert source is not None
        with pytest.raises(Unavailable):
            list(joining._pieces(source, start=0))  # noqa: SLF001 -- a step of a whole job


def test_conditions_and_ranges_are_judged_without_the_bytes(fleet: tuple[Flask, Flask]) -> None:
    a, b = fleet
    client, once = b.test_client(), link(a)
    assert client.get(once, headers={"If-Match": '"other"'}).status_code == 412
    answer = client.get(once, headers={"Range": "bytes=1-2"})
    assert answer.headers["X-Accel-Redirect"].startswith("/_once/elsewhere/")
    with b.app_context(), pytest.raises(Unavailable):
        hosts.address("unknown")


def test_a_request_about_an_upload_is_passed_on_to_the_host_that_has_it(fleet: tuple[Flask, Flask]) -> None:
    a, b = fleet
    path = upload(a)
    for method in ("HEAD", "GET", "DELETE"):
        answer = b.test_client().open(path, method=method, headers=TUS)
        assert answer.headers["X-Accel-Redirect"] == "@upload_elsewhere"
        assert answer.headers["X-Spool-Address"] == ADDRESS
    admission = {"X_ADMIT_UPLOAD": "1", "X_ANNOUNCED": "3"}
    answer = b.test_client().patch(path, headers=TUS, environ_overrides=admission)
    assert (answer.status_code, answer.headers["X-Spool-Address"]) == (421, ADDRESS)
    assert a.test_client().head(path, headers=TUS).headers["Upload-Offset"] == "0"


def test_all_parts_of_a_client_begin_on_one_host_which_joins_them(fleet: tuple[Flask, Flask]) -> None:
    apps = dict(zip("ab", fleet, strict=True))
    partial = TUS | {"Upload-Length": "0", "Upload-Concat": "partial"}
    found = set()
    for number in range(20):
        sender = {"REMOTE_ADDR": f"192.0.2.{number}"}
        begun = [app.test_client().post("/uploads/streams", headers=partial, environ_overrides=sender) for app in fleet]
        urls = [answer.headers["Location"] for answer in begun]
        with fleet[0].app_context():
            (host,) = {str(rows.existing(url.rpartition("/")[2]).host) for url in urls}
        found.add(host)
        concat = TUS | {"Upload-Concat": f"final;{' '.join(urls)}"}
        final = apps[host].test_client().post("/uploads/streams", headers=concat)
        assert "created" in final.headers["Upload-Result"]
    assert found == {"a", "b"}


def test_a_part_that_comes_with_its_creation_goes_to_the_host_of_its_client(fleet: tuple[Flask, Flask]) -> None:
    partial = TUS | {
        "Upload-Length": "3",
        "Upload-Concat": "partial",
        "Content-Type": "application/offset+octet-stream",
    }
    admission = {"X_ADMIT_UPLOAD": "1", "X_ANNOUNCED": "3"}
    with fleet[0].app_context():
        passed_on = partial | {"X-Spool-Key": hosts.key()}
    found = set()
    for number in range(20):
        sender = admission | {"REMOTE_ADDR": f"192.0.2.{number}"}
        asked = [app.test_client().post("/uploads/streams", headers=partial, environ_overrides=sender) for app in fleet]
        found.add(tuple(answer.status_code for answer in asked))
        again = [
            app.test_client().post("/uploads/streams", headers=passed_on, environ_overrides=sender) for app in fleet
        ]
        assert [answer.status_code for answer in again] == [204, 204], "hosts that disagree must not pass it on forever"
    assert found == {(204, 421), (421, 204)}
    whole = {name: value for name, value in partial.items() if name != "Upload-Concat"}
    alone = [app.test_client().post("/uploads/streams", headers=whole, environ_overrides=admission) for app in fleet]
    assert [answer.status_code for answer in alone] == [204, 204]


def test_an_upload_on_a_host_that_cannot_be_asked_is_away(fleet: tuple[Flask, Flask]) -> None:
    a, b = fleet
    path = upload(a)
    forget_addresses(a)
    assert b.test_client().head(path, headers=TUS).status_code == 503
    assert a.test_client().head(path, headers=TUS).status_code == 204


def test_any_host_repeats_the_answer_to_a_finished_upload(fleet: tuple[Flask, Flask]) -> None:
    path = upload(fleet[0], b"content")
    answers = {app.test_client().get(path, headers=TUS).text for app in fleet}
    assert len(answers) == 1
    assert '"created"' in answers.pop()
