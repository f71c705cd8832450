"""Multipart uploads that a killed worker has left in the object store, a real one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import urllib3
from flask import Flask
from flask.testing import FlaskClient

from tests.core.objects.streams import posted, url
from tests.inprocess import sweep
from tests.object_stores import refusing
from vimeo_api import extensions
from vimeo_api.core.errors import Unavailable
from vimeo_api.core.maintenance import reconciliation
from vimeo_api.core.storage import multiparts
from vimeo_api.core.storage.buckets import Refused


def begun(app: Flask, *keys: str) -> list[str]:
    """Begin multipart uploads below the prefix of an app; return their keys."""
    bucket = extensions.bucket(app.config["SETTINGS"])
    whole = [f"{bucket.prefix}{key}" for key in keys]
    for key in whole:
        assert urllib3.request("POST", bucket.signed("POST", key, {"uploads": ""})).status == 200
    return whole


def drafts(age: float) -> list[str]:
    return sorted(one.about for one in reconciliation.findings(age=age) if one.kind == "draft")


def test_old_ones_are_aborted(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, further = begun(app, "/streams/ab/ab1", "/streams/ab/ab2")
    others = set(begun(app, "x/streams/ab/ab3", "/photos/ab/ab4", "/streams/readme.txt"))
    monkeypatch.setattr(multiparts, "_PAGE", "1")
    assert drafts(age=3600) == []
    assert drafts(age=0) == [f"s3/{mine}", f"s3/{further}"]
    reconciliation.repair(reconciliation.findings(age=0))
    assert drafts(age=0) == []
    everywhere = replace(extensions.bucket(app.config["SETTINGS"]), prefix="")
    assert others <= {one.key for one in multiparts.listing(everywhere)}


def test_one_that_has_ended_meanwhile_is_no_error(app: Flask) -> None:
    begun(app, "/streams/ab/ab1")
    found = [one for one in reconciliation.findings(age=0) if one.kind == "draft"]
    for _ in range(2):
        assert reconciliation.repair(found) == (1, 0)


def test_reconciliation_goes_on_where_they_may_not_be_listed(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(_bucket: object) -> Iterator[None]:
        raise Refused("No.")

    monkeypatch.setattr(multiparts, "listing", refused)
    stream = posted(client)
    sweep(app)
    assert list(reconciliation.findings()) == []
    assert "unfinished multipart uploads are not removed: No." in caplog.text
    assert client.get(url(stream)).status_code == 200


def test_what_the_object_store_says_instead_is_an_error_without_its_words(app: Flask) -> None:
    bucket = extensions.bucket(app.config["SETTINGS"])
    for status, error in ((403, Refused), (503, Unavailable)):
        with refusing(status=status, code="Secret") as endpoint, pytest.raises(error) as raised:
            list(multiparts.listing(replace(bucket, endpoint=endpoint)))
        assert "Secret" not in str(raised.value)
    with pytest.raises(Unavailable, match="nothing answers"):
        list(multiparts.listing(replace(bucket, endpoint="http://127.0.0.1:1")))


def test_the_bucket_may_be_in_the_name_of_the_host(app: Flask) -> None:
    named = replace(extensions.bucket(app.config["SETTINGS"]), endpoint="https://objects.example.org", path_style=False)
    assert named.signed("DELETE", "p/k", {"uploadId": "1/2"}).startswith(
        "https://files.objects.example.org/p/k?uploadId=1%2F2&x-id=/request&X-Amz-Algorithm="
    )
