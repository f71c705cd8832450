"""Quotas: what a file counts for."""

import pytest
from flask import Flask

from vimeo_api.core import policy
from vimeo_api.core.access import api_tokens
from vimeo_api.core.access.api_tokens import LEAST_CHARGE
from vimeo_api.core.errors import Exists, QuotaExceeded
from vimeo_api.core.files import storing
from vimeo_api.extensions import blobs
from vimeo_api.services import fetches

URL = "http://127.0.0.1:8000/a"


def holder(quota: int) -> int:
    """Return the id of a new token."""
    found = api_tokens.holder(api_tokens.create("robot", ["*:*"], quota=quota))
    assert found is not None
    return found.id


def upload(token_id: int, *contents: bytes) -> None:
    for content in contents:
        with blobs.stage() as staging:
            staging.write(content)
            storing.upload(policy.STREAMS, staging, token_id=token_id)


def test_empty_files_count(app: Flask) -> None:
    token_id = holder(3 * LEAST_CHARGE)
    upload(token_id, b"", b"x", b"")
    with pytest.raises(QuotaExceeded):
        upload(token_id, b"")
    assert api_tokens.left(token_id) == 0


def test_fetches_count_against_the_quota_from_the_start(app: Flask) -> None:
    token_id = holder(2 * LEAST_CHARGE)
    for _ in range(2):
        fetches.begin(policy.TRANSFER, URL, client="a", sha256=None, token_id=token_id)
    with pytest.raises(QuotaExceeded):
        fetches.begin(policy.TRANSFER, URL, client="a", sha256=None, token_id=token_id)


def test_the_bytes_of_a_fetch_are_charged_once(app: Flask) -> None:
    token_id = holder(10 * LEAST_CHARGE)
    fetches.begin(policy.TRANSFER, URL, client="a", sha256=None, token_id=token_id)
    api_tokens.check_quota(token_id, 10 * LEAST_CHARGE, counted=LEAST_CHARGE)
    with pytest.raises(QuotaExceeded):
        api_tokens.check_quota(token_id, 10 * LEAST_CHARGE)


def test_token_names_are_unique(app: Flask) -> None:
    api_tokens.create("robot", ["*:*"])
    with pytest.raises(Exists):
        api_tokens.create("robot", ["*:*"])
