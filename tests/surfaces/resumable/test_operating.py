"""What operators see of uploads, and tokens and quotas."""

from pathlib import Path

from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from tests.front import fronted
from tests.inprocess import PROFILES
from tests.surfaces.resumable.tus import DATA, TUS, begin, described, patch
from vimeo_api.core.access import api_tokens
from vimeo_api.core.resumable import parts
from vimeo_api.service_commands.uploads import uploads as command


def test_tokens_and_quotas_hold(tmp_path: Path) -> None:
    for profile in PROFILES:
        with fronted(profile, tmp_path / profile, REQUIRE_TOKENS="1", STREAMS_UPLOAD_LIMIT="3 per hour") as app:
            with app.app_context():
                token, other = (api_tokens.create(name, ["streams:write"], quota=400_000) for name in "ab")
            client = app.test_client()
            ours, theirs = ({"Authorization": f"Bearer {one}"} for one in (token, other))
            assert client.post("/uploads/streams", headers={**TUS, "Upload-Length": "5"}).status_code == 401
            assert client.post("/uploads/store", headers={**TUS, "Upload-Length": "5", **ours}).status_code == 403
            url = begin(client, headers=ours)
            assert client.head(url, headers=theirs).status_code == 404
            assert client.head(url).status_code == 401
            assert patch(client, url, 0, DATA[:9]).status_code == 401
            more = client.post("/uploads/streams", headers={**TUS, "Upload-Length": "200000", **ours})
            assert more.status_code == 403  # not beside the first, which has no byte yet
            assert patch(client, url, 0, DATA, headers=ours).status_code == 204
            begun = [client.post("/uploads/streams", headers={**TUS, "Upload-Length": "5", **ours}) for _ in range(3)]
            assert begun[-1].status_code == 429


def test_the_metrics_have_the_unfinished_ones(app: Flask, client: FlaskClient) -> None:
    def figures() -> list[float]:
        names = ("resumable_uploads_open", "resumable_open_bytes")
        lines = client.get("/metrics").text.splitlines()
        starts = [f'vimeo_api_{name}{{surface="transfer"}} ' for name in names]
        return [float(line.removeprefix(start)) for start in starts for line in lines if line.startswith(start)]

    before = figures()
    url = begin(client, "transfer", headers=described(filename="counted.pdf"))
    patch(client, url, 0, DATA[:70])
    assert figures() == [before[0] + 1, before[1] + 70]
    patch(client, url, 70, DATA[70:])
    assert figures() == before


def test_the_operator_lists_and_ends_them(app: Flask, client: FlaskClient) -> None:
    url = begin(client, headers=described(filename="of the operator"))
    key = url.rpartition("/")[2]
    patch(client, url, 0, DATA[:10])
    with app.app_context():
        listed = CliRunner().invoke(command, ["list"], obj=None)
        assert f"{key}\tstreams\t10 of 300000 bytes" in listed.output
        assert CliRunner().invoke(command, ["end", key]).exit_code == 0
        assert CliRunner().invoke(command, ["end", key]).exit_code == 1
        assert not parts.path(key).exists()
    assert client.head(url).status_code == 404
