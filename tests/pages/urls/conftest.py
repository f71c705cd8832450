"""The service of the tests of URL uploads on the page."""

from collections.abc import Iterator

import pytest
import requests

from tests.origin import serving
from tests.services import Service, await_, running


@pytest.fixture(scope="package", params=["embedded", "production"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service, with URL uploads from loopback."""
    settings = {"FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1", "TRANSFER_MAX_BYTES": "64MiB"}
    data = tmp_path_factory.mktemp("urls") / "data"
    with running(request.param, data, **settings) as service, serving() as origin:
        first = requests.post(f"{service.url}/uploadFile", json={"file": origin.url("/missing")}, timeout=60).json()
        if "status_url" in first:  # the workers start after the server
            await_(lambda: requests.get(first["status_url"], timeout=60).json()["state"] == "failed", 60)
        yield service
