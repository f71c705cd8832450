"""What crashes leave behind: removed when it is old and nobody's, and not before."""

import os
import time
from pathlib import Path

from flask import Flask

from vimeo_api.core import catalog, storage
from vimeo_api.core.catalog import NewFile
from vimeo_api.core.reconciliation import OLD_SECONDS, reconcile
from vimeo_api.extensions import settings


def put(path: Path, *, old: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    if old:
        moment = time.time() - OLD_SECONDS - 60
        os.utime(path, (moment, moment))
    return path


def test_it_removes_old_bytes_that_no_row_knows(app: Flask) -> None:
    catalog.add(NewFile("vimeo", "k", blob="ab1", name="n", size=1))
    catalog.add(NewFile("transfer", "1", blob="ff1", name="n", size=0, source_url="http://h/"))
    kept = [
        put(storage.path("vimeo", "ab1"), old=True),
        put(storage.path("vimeo", "ab2"), old=False),
        put(settings.spool_dir / "new", old=False),
        put(settings.spool_dir / "fetch-transfer-ff1", old=True),
        put(settings.spool_dir / "fetch-transfer-ff1.spans", old=True),
    ]
    removed = [
        put(storage.path("vimeo", "ab3"), old=True),
        put(storage.path("streams", "ab1"), old=True),
        put(settings.spool_dir / "left", old=True),
        put(settings.spool_dir / "fetch-transfer-ff2", old=True),
    ]
    assert reconcile() == len(removed)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in removed)
    assert not storage.path("streams", "ab1").parent.exists()
    assert reconcile() == 0
