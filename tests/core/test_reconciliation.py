"""What crashes leave behind: removed if it is old and belongs to no row, and not before."""

import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import update

from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, Status
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import catalog
from vimeo_api.core.files.catalog import NewFile
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.maintenance.reconciliation import AGE_SECONDS, OVERDUE_SECONDS, findings, repair
from vimeo_api.extensions import blobs, settings
from vimeo_api.service_commands import reconcile


def put(path: Path, *, old: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    if old:
        moment = time.time() - AGE_SECONDS - 60
        os.utime(path, (moment, moment))
    return path


def test_it_removes_old_bytes_that_no_row_knows(app: Flask) -> None:
    catalog.add(NewFile("vimeo", "k", blob="ab1", name="n", size=1))
    catalog.add(NewFile("transfer", "1", blob="ff1", name="n", size=0, source_url="http://h/"))
    kept = [
        put(blobs.path("vimeo", "ab1"), old=True),
        put(blobs.path("vimeo", "ab2"), old=False),
        put(settings.spool_dir / "new", old=False),
        put(settings.spool_dir / "fetch-transfer-ff1", old=True),
        put(settings.spool_dir / "fetch-transfer-ff1.spans", old=True),
    ]
    removed = [
        put(blobs.path("vimeo", "ab3"), old=True),
        put(blobs.path("streams", "ab1"), old=True),
        put(settings.spool_dir / "left", old=True),
        put(settings.spool_dir / "fetch-transfer-ff2", old=True),
    ]
    assert sorted(kinds()) == ["leftover", "leftover", "orphan", "orphan"]
    assert all(path.exists() for path in removed)  # nothing is done before it is said
    assert repair(findings()) == (len(removed), 0)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in removed)
    assert not blobs.path("streams", "ab1").parent.exists()
    assert kinds() == []


def test_a_folder_that_vanishes_meanwhile_holds_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = blobs.path("streams", "ab1").parent
    monkeypatch.setattr(Path, "glob", lambda _self, _pattern: [gone])
    monkeypatch.setattr(Path, "is_dir", lambda _self: True)  # it was a moment ago
    assert kinds() == []


def test_it_stops_when_the_store_is_unmounted_meanwhile(app: Flask) -> None:
    old = now() - timedelta(days=2)
    stored("1", b"content")
    statements.execute(update(File).values(created_at=old))
    put(settings.spool_dir / "left", old=True)
    found = findings()
    assert next(found).kind == "leftover"
    settings.store_dir.rename(settings.data_dir / "away")
    settings.store_dir.mkdir()  # the empty folder below the mount
    with pytest.raises(Unavailable):
        list(found)


def kinds(**options: float) -> list[str]:
    return [finding.kind for finding in findings(**options)]  # type: ignore[arg-type]


def stored(key: str, content: bytes, **values: str) -> Path:
    catalog.add(NewFile("vimeo", key, blob=f"ab{key}", name="n", size=len(content), **values))  # type: ignore[arg-type]
    path = blobs.path("vimeo", f"ab{key}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_it_reports_a_row_whose_bytes_are_missing_or_short(app: Flask) -> None:
    missing, short = stored("1", b"content"), stored("2", b"content")
    stored("3", b"content")
    assert kinds(age=0) == []
    missing.unlink()
    short.write_bytes(b"con")
    assert kinds() == []  # too young to tell from one that is being deleted
    assert kinds(age=0) == ["missing", "damaged"]
    assert repair(findings(age=0)) == (0, 2)
    assert catalog.find("vimeo", "1") is not None


def test_it_reports_bytes_that_are_not_what_they_were(app: Flask) -> None:
    digest = f"sha256:{hashlib.sha256(b'content').hexdigest()}"
    path = stored("1", b"content", digest=digest)
    assert kinds() == []
    path.write_bytes(b"c0ntent")
    assert kinds(sample=0) == []
    assert [finding.about for finding in findings()] == [
        "file 1 (vimeo/ab/ab1): another sha256 than when it was stored"
    ]


def test_it_reports_what_the_sweep_should_have_done(app: Flask) -> None:
    stored("1", b"x")
    statements.execute(update(File).values(status=Status.LEASED, due_at=now()))
    assert kinds() == []
    statements.execute(update(File).values(due_at=now() - timedelta(seconds=OVERDUE_SECONDS + 1)))
    assert [(finding.kind, finding.about, finding.repair) for finding in findings()] == [
        ("overdue", "file 1 (vimeo/ab/ab1): leased", None)
    ]


def test_it_checks_every_row_however_many_there_are(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "ROWS_PER_QUERY", 3)
    for number in range(10):
        stored(str(number), b"x").unlink()
    assert kinds(age=0) == ["missing"] * 10


def test_the_command_says_what_it_would_do_and_does_it_when_told(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "load_existing", lambda: app)

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(reconcile.reconcile, words)
        return done.exit_code, done.stdout

    left = put(settings.spool_dir / "left", old=True)
    assert run() == (1, "leftover: spool/left: would be removed\n1 found, 1 remain\n")
    assert left.exists()
    assert run("--fix") == (0, "leftover: spool/left: removed\n1 found, 0 remain\n")
    assert not left.exists()
    assert run() == (0, "0 found, 0 remain\n")
    for age in ("-1", "nan", "inf", "1e20", "9" * 20):
        assert run("--age", age) == (2, "")
    assert run("--sample", "9" * 20) == (2, "")
