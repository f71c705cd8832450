"""Joining fails before the first byte is written if there is no space for the whole."""

import shutil

import pytest
from flask import Flask

from vimeo_api.core import policy
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.files import joining
from vimeo_api.core.storage.reservations import Reservations
from vimeo_api.extensions import blobs, settings
from vimeo_api.services import uploads

MIB = 1024**2


def test_a_question_of_a_few_bytes_does_not_fill_the_disk(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with blobs.stage() as staging:
        staging.write(bytes(MIB))
        key = uploads.upload(policy.STREAMS, staging)
    keep = shutil.disk_usage(settings.spool_dir).free - 5000 * MIB
    monkeypatch.setitem(app.extensions, "reservations", Reservations(settings.spool_dir, keep_free=keep))
    monkeypatch.setattr(joining, "join", lambda *_: pytest.fail("written"))
    with pytest.raises(StorageFull):
        uploads.join(policy.STREAMS, [key] * 9000)
