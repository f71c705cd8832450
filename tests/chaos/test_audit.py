"""The audit finds nothing in a correct service, and each promise that we break on purpose."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import delete, insert, update

from tests.chaos import audit, inside
from tests.chaos.audit import Audit
from tests.chaos.ledger import Content, Item, Ledger, OneTime, Queued, State
from tests.chaos.load import created, sealed
from tests.chaos.onetime import OneTimes
from tests.chaos.queueing import QUEUE
from tests.chaos.wire import ask, form
from tests.services import Service, running
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import Attempt, File, Status
from vimeo_api.core.files import catalog, leases
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.storage.filesystem import DRAFTS
from vimeo_api.core.storage.folders import make_folder
from vimeo_api.core.storage.mount_check import NAME
from vimeo_api.extensions import blobs, settings

A = "a" * 32


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that these tests damage and repair."""
    with running("embedded", tmp_path_factory.mktemp("audited") / "data") as service:
        yield service


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("seed")


@pytest.fixture(autouse=True)
def _empty(service: Service) -> Iterator[None]:
    """Leave nothing to the next test."""
    yield
    with inside.inside(service):
        statements.execute(delete(Attempt))
        statements.execute(delete(File))
        for folder in (settings.store_dir, settings.spool_dir):
            for path in folder.rglob("*"):
                if path.is_file() and path.name != NAME:
                    path.unlink()


def streamed(service: Service, ledger: Ledger, content: bytes = b"content", folder: str = "/v1/streams") -> Item:
    """Upload a stream, and record it as a client would."""
    path = created(ask(service.port, "POST", folder, content))
    assert path is not None
    ledger.items.append(Item("streams", path, ledger.know(content)))
    return ledger.items[-1]


def once(service: Service, ledger: Ledger) -> OneTime:
    """Upload a one-time file."""
    content = Content("seed", 1000)
    body, headers = form("report.xls", content.make())
    ledger.know(content.make())
    answer = ask(service.port, "PUT", "/vimeo/api/v1.0/file", body, headers)
    ledger.once.append(OneTime(urlsplit(json.loads(answer.body)["url"]).path, content, None))
    return ledger.once[-1]


def entry(item: Item | OneTime, surface: str = "streams") -> Entry:
    found = catalog.find(surface, item.path.rsplit("/", 1)[1])
    assert found is not None
    return found


def bytes_of(item: Item) -> Path:
    return blobs.path("streams", entry(item).blob)


def broken(service: Service, ledger: Ledger) -> str:
    """Return what an audit finds, as text."""
    Audit(service, ledger).run()
    kinds = {"lost": ledger.lost, "leaked": ledger.leaked, "doubled": ledger.doubled}
    return "\n".join(f"{kind}: {sentence}" for kind, sentences in kinds.items() for sentence in sentences)


def test_the_audit_finds_nothing_in_a_correct_service(service: Service, ledger: Ledger) -> None:
    streamed(service, ledger)
    deleted = streamed(service, ledger, b"deleted")
    deleted.end(ask(service.port, "DELETE", deleted.path).ended_at)
    answer = ask(service.port, "POST", "/uploadFile", *form("a.txt", b"sealed"))
    ledger.items.append(Item("transfer", sealed(answer) or "", ledger.know(b"sealed")))
    once(service, ledger)
    used = once(service, ledger)
    OneTimes(service.port, ledger).download(used, used.content.make())
    assert broken(service, ledger) == ""
    assert broken(service, ledger) == ""  # and an audit changes nothing of that
    done = Audit(service, ledger)
    done.run()
    assert not done.reconciled


def test_it_finds_missing_bytes(service: Service, ledger: Ledger) -> None:
    item = streamed(service, ledger)
    with inside.inside(service):
        bytes_of(item).unlink()
    found = broken(service, ledger)
    assert f"lost: streams {item.path} at the end: answered 404 although it is there" in found
    assert "lost: reconciliation: missing" in found
    assert "its row has no bytes" in found


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b"contenT", " at the end: other bytes than were sent"),
        (b"con", ": answered 200 at the end, it is there"),  # the length is of the row, so the response breaks off
    ],
)
def test_it_finds_wrong_bytes(service: Service, ledger: Ledger, content: bytes, read: str) -> None:
    item = streamed(service, ledger)
    with inside.inside(service):
        bytes_of(item).write_bytes(content)
    found = broken(service, ledger)
    assert f"lost: streams {item.path}{read}" in found
    assert ("bytes that nobody has sent" if len(content) == 7 else "3 bytes of 7") in found


def test_it_finds_a_missing_row(service: Service, ledger: Ledger) -> None:
    item = streamed(service, ledger)
    with inside.inside(service):
        statements.execute(delete(File))
    assert f"lost: streams {item.path} at the end: answered 404 although it is there" in broken(service, ledger)


def test_it_finds_a_deleted_file_that_reappears(service: Service, ledger: Ledger) -> None:
    item = streamed(service, ledger)
    with inside.inside(service):
        row = entry(item)
    item.end(ask(service.port, "DELETE", item.path).ended_at)
    with inside.inside(service), blobs.stage() as staging:
        staging.write(b"content")
        blobs.publish(staging, "streams", row.blob)
        catalog.add(NewFile("streams", row.key, row.blob, row.name, row.size))
    assert broken(service, ledger) == f"lost: streams {item.path} at the end: sent although it is gone"


def test_it_finds_a_confirmation_without_a_download(service: Service, ledger: Ledger) -> None:
    file = once(service, ledger)
    with inside.inside(service):
        leases.use_up(entry(file, "vimeo").id, A, grace_seconds=0)
    found = broken(service, ledger)
    assert re.search(rf"lost: once {file.path}: answered 410, \d+ of 1000 bytes at the end; right is \{{200\}}", found)


def test_it_finds_a_used_up_file_that_is_sent_again(service: Service, ledger: Ledger) -> None:
    file, data = once(service, ledger), Content("seed", 1000).make()
    client = OneTimes(service.port, ledger)
    assert client.download(file, data)
    assert client.download(file, data) is None
    assert file.told_gone
    with inside.inside(service):
        statements.execute(update(File).values(status=Status.AVAILABLE, due_at=None))
    assert broken(service, ledger) == f"doubled: once {file.path}: sent at the end although it was used up"


def test_it_finds_a_queue_that_loses_or_repeats_streams(service: Service, ledger: Ledger) -> None:
    forgotten, kept = (streamed(service, ledger, name, f"{QUEUE}/streams") for name in (b"1", b"2"))
    ledger.queued = {item.path.rsplit("/", 1)[1]: Queued(item) for item in (forgotten, kept)}
    kept.state = State.GONE  # as if it had been confirmed
    with inside.inside(service):
        statements.execute(update(File).where(File.id == entry(forgotten).id).values(queue=None))
    found = broken(service, ledger)
    assert f"queued {forgotten.path[-36:]}: is not in the queue" in found
    assert f"queued {kept.path[-36:]}: is in the queue although it was confirmed" in found


def test_it_finds_a_purge_that_removed_nothing(service: Service, ledger: Ledger) -> None:
    item = streamed(service, ledger)
    ledger.answered.add(item.digest)
    with inside.inside(service):
        path = bytes_of(item)
        item.end(ask(service.port, "DELETE", item.path).ended_at)
        make_folder(path.parent)
        path.write_bytes(b"content")
    assert broken(service, ledger) == f"leaked: bytes of a file that was deleted: {path}"


def test_it_finds_what_reconciliation_missed(service: Service, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    item = streamed(service, ledger)
    with inside.inside(service):
        (settings.spool_dir / "left").write_bytes(b"x")
        orphan = bytes_of(item).with_name(f"{bytes_of(item).name[:2]}orphan")
        orphan.write_bytes(b"x")
        draft = settings.store_dir / DRAFTS / "streams-draft"
        draft.parent.mkdir(exist_ok=True)
        draft.write_bytes(b"x")
    with monkeypatch.context() as patch:
        patch.setattr(reconciliation, "findings", lambda **_: iter(()))
        found = broken(service, ledger)
    told = ["in the spool: left", f"bytes without a row: {orphan}", f"a draft: {draft}"]
    assert set(found.splitlines()) == {f"leaked: {sentence}" for sentence in told}
    ledger.leaked.clear()
    assert broken(service, ledger) == ""


def test_it_finds_stuck_rows(service: Service, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "SETTLING_SECONDS", 0)
    with inside.inside(service):
        later = now().replace(year=2999)
        catalog.add(NewFile("transfer", "1", blob="ab", name="a", size=0, source_url="http://127.0.0.1:9/"))
        statements.execute(update(File).values(lease_token=A, due_at=later))
    assert "leaked: 1 rows are stuck: fetching" in broken(service, ledger)


def test_it_finds_attempts_without_a_row(service: Service, ledger: Ledger) -> None:
    with inside.inside(service):
        values = {"file_id": 9999, "response": 1, "ended_at": now(), "start": 0, "sent": 5, "complete": True}
        statements.execute(insert(Attempt).values(values))
    assert broken(service, ledger) == "leaked: attempts at file 9999, which has no row"
