"""A store is not mistaken for an empty mount point, nor for another store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from tests.services import files_below
from vimeo_api import cli, tasks
from vimeo_api.app import create_app
from vimeo_api.core.database import counters
from vimeo_api.core.database.counters import Counted
from vimeo_api.core.database.models import Status
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.files import catalog, digests
from vimeo_api.core.maintenance.sweep import Due
from vimeo_api.core.monitoring import readiness
from vimeo_api.core.storage.blobs import Blobs
from vimeo_api.core.storage.mount_check import NOT_MOUNTED
from vimeo_api.extensions import blobs, mount_check


def unmounted(store: Path) -> None:
    store.rename(store.with_name("aside"))
    store.mkdir()


def replaced(store: Path) -> None:
    unmounted(store)
    (store / ".mark").write_text("another")


BOTH = pytest.mark.parametrize("away", [unmounted, replaced])


@BOTH
def test_an_unmounted_store_is_reported_until_it_is_mounted_again(app: Flask, away: Callable[[Path], None]) -> None:
    client, store = app.test_client(), app.config["SETTINGS"].store_dir
    url = f"/v1/streams/{client.post('/v1/streams', data=b'x').get_json()['id']}"
    away(store)
    assert client.get(url, environ_base={"werkzeug.socket": None}).status_code == 503
    assert client.delete("/v1/streams/unknown").status_code == 404
    with pytest.raises(Unavailable):
        mount_check.check()
    assert "store" in {check.name for check in readiness.checks() if not check.finding.ok}
    (store / ".mark").unlink(missing_ok=True)
    store.rmdir()
    store.with_name("aside").rename(store)
    mount_check.check()
    assert client.get(url, environ_base={"werkzeug.socket": None}).data == b"x"


@BOTH
def test_a_restart_does_not_accept_another_store(app: Flask, away: Callable[[Path], None]) -> None:
    settings = app.config["SETTINGS"]
    away(settings.store_dir)
    with create_app(settings).app_context(), pytest.raises(Unavailable):
        mount_check.check()
    (settings.data_dir / "store.mark").unlink()  # as deploy/README.md says, where it is another one on purpose
    with create_app(settings).app_context():
        mount_check.check()


@BOTH
def test_files_stay_pending_while_the_store_is_not_mounted(app: Flask, away: Callable[[Path], None]) -> None:
    away(app.config["SETTINGS"].store_dir)
    assert blobs.uses_pending()


def test_bytes_stay_due_if_their_store_goes_away_while_they_are_removed(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = app.test_client()
    key = client.post("/v1/streams", data=b"x").get_json()["id"]
    blob = catalog.find("streams", key).blob  # type: ignore[union-attr]
    monkeypatch.setattr(Blobs, "unpublish", lambda blobs, *_: unmounted(blobs.store))
    assert client.delete(f"/v1/streams/{key}").status_code == 200
    removed = catalog.by_blob("streams", blob)
    assert removed
    assert (removed.status, removed.purged_at) == (Status.GONE, None)


@BOTH
def test_nothing_is_deleted_while_its_store_is_not_mounted(app: Flask, away: Callable[[Path], None]) -> None:
    client, store = app.test_client(), app.config["SETTINGS"].store_dir
    placed = f"/v1/streams/{client.post('/v1/streams', data=b'x').get_json()['id']}"
    away(store)
    refused = client.delete(placed)  # nginx may have cached where its bytes are
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
    (store / ".mark").unlink(missing_ok=True)
    store.rmdir()
    store.with_name("aside").rename(store)
    assert client.delete(placed).status_code == 200
    assert client.get(placed).status_code == 404
    assert files_below(store) == []


def test_reconcile_stops_with_a_sentence_if_the_store_is_not_mounted(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.config["SETTINGS"]
    for name, value in (("DATA_DIR", str(settings.data_dir)), ("PROFILE", "embedded")):
        monkeypatch.setenv(name, value)
    unmounted(settings.store_dir)
    done = CliRunner().invoke(cli.cli, ["reconcile"])
    assert (done.exit_code, done.output) == (1, f"Error: {NOT_MOUNTED}\n")


def test_the_sweep_digests_nothing_while_the_store_is_not_mounted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tasks, "look", lambda: Due(work=True, count=False))
    monkeypatch.setattr(digests, "due", lambda: True)
    monkeypatch.setattr(tasks, "enqueue", lambda task: asked.append(task.name))
    with app.app_context():
        unmounted(app.config["SETTINGS"].store_dir)
        tasks.sweep()
    assert asked == []


def test_the_daily_reconciliation_skips_an_unmounted_store(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with app.app_context():
        unmounted(app.config["SETTINGS"].store_dir)
        tasks.reconcile()
        assert NOT_MOUNTED in caplog.text
        assert Counted.RECONCILE not in counters.read()
