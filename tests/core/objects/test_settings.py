"""What the start says of the settings of an object store."""

from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.core.objects.streams import NOWHERE, end_grace, posted, url
from tests.inprocess import made, sweep
from tests.object_stores import ObjectStore, refusing
from vimeo_api.config import ConfigError
from vimeo_api.core.monitoring.readiness import check_object_store
from vimeo_api.extensions import blobs


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "another"}, "AWS_ACCESS_KEY_ID is not known at"),
        ({"AWS_SECRET_ACCESS_KEY": "another"}, "AWS_SECRET_ACCESS_KEY does not fit AWS_ACCESS_KEY_ID at"),
        ({"STORE_URL": "s3://another"}, "STORE_URL: the credentials may not write to the bucket another at"),
    ],
)
def test_a_refusal_stops_the_start_with_a_sentence(
    bucket: ObjectStore, tmp_path: Path, changed: dict[str, str], sentence: str
) -> None:
    settings = bucket.settings() | changed
    with (
        made("embedded", tmp_path / "data", **settings) as app,
        app.app_context(),
        pytest.raises(ConfigError, match=sentence),
    ):
        check_object_store()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"status": 404, "code": "NoSuchBucket"}, "STORE_URL: there is no bucket files at"),
        (
            {"status": 400, "code": "AuthorizationHeaderMalformed"},
            "STORE_REGION is not the region of the bucket files at",
        ),
        ({"status": 400, "code": "ExpiredToken"}, "The credentials for the bucket files at .* have expired"),
        ({"status": 403, "code": "RequestTimeTooSkewed"}, "The clock of this host differs from that of"),
        ({"status": 403, "code": "AccessDenied"}, "STORE_URL: the credentials may not write to the bucket files at"),
        ({"status": 404, "code": "NoSuchKey"}, "STORE_URL: there is no bucket files at"),  # as any web server says
        ({"status": 405, "code": "MethodNotAllowed"}, "STORE_ENDPOINT: .* answered 405, so it is no object store"),
        ({"status": 501, "code": "NotImplemented"}, "STORE_ENDPOINT: .* answered 501, so it is no object store"),
        ({"status": 200, "code": "None"}, "STORE_ENDPOINT: .* answers as no object store does"),
        ({"status": 400, "code": "", "message": "sent an HTTP request to an HTTPS server"}, "speaks HTTPS; try https"),
        (
            {"status": 400, "code": "InvalidArgument", "message": "x-amz-checksum-crc64nvme is not supported"},
            "set STORE_CHECKSUM=sha256",
        ),
    ],
)
def test_the_start_says_which_setting_is_wrong(
    bucket: ObjectStore, tmp_path: Path, answer: dict[str, Any], sentence: str
) -> None:
    with (
        refusing(**answer) as endpoint,
        made("embedded", tmp_path / "data", **bucket.settings() | {"STORE_ENDPOINT": endpoint}) as app,
        app.app_context(),
        pytest.raises(ConfigError, match=sentence),
    ):
        check_object_store()


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"},
            "There are no credentials for the bucket files",
        ),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/no", "AWS_ROLE_ARN": "role"},
            "AWS_WEB_IDENTITY_TOKEN_FILE .* cannot be read",
        ),
        ({"AWS_REQUEST_PAYER": "perhaps"}, "A variable AWS_… in the environment has a value that is not known"),
    ],
)
def test_the_start_says_what_is_wrong_with_a_role(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: dict[str, str], sentence: str
) -> None:
    for name, value in role.items():
        monkeypatch.setenv(name, value)
    settings = bucket.settings() | {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with (
        made("embedded", tmp_path / "data", **settings) as app,
        app.app_context(),
        pytest.raises(ConfigError, match=sentence),
    ):
        check_object_store()


def test_the_start_says_that_a_server_has_no_https(bucket: ObjectStore, tmp_path: Path) -> None:
    settings = bucket.settings() | {"STORE_ENDPOINT": bucket.endpoint.replace("http:", "https:")}
    with (
        made("embedded", tmp_path / "data", **settings) as app,
        app.app_context(),
        pytest.raises(ConfigError, match="does not speak HTTPS"),
    ):
        check_object_store()


def test_the_start_does_not_wait_for_an_object_store_that_is_away(
    bucket: ObjectStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = bucket.settings() | {"STORE_ENDPOINT": NOWHERE}
    with (
        made("embedded", tmp_path / "data", **away) as app,
        app.app_context(),
    ):
        check_object_store()
        assert f"nothing answers at {NOWHERE}" in caplog.text
    with made("embedded", tmp_path / "data", **bucket.settings()) as app, app.app_context():
        check_object_store()


def test_rows_of_an_object_store_that_is_no_longer_set_get_503(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    stream = posted(client)
    sweep(app)
    end_grace()
    with made("embedded", tmp_path / "data") as without, without.app_context():
        assert without.test_client().get(url(stream)).status_code == 503
        assert blobs.target.name == "filesystem"
