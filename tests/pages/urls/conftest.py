"""The service of the tests of URL uploads on the page."""

from collections.abc import Iterator

import pytest

from tests.fetches import OPEN, begin
from tests.origin import serving
from tests.services import Service, running


@pytest.fixture(scope="package", params=["embedded", "production"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The real service, with URL uploads from loopback."""
    data = tmp_path_factory.mktemp("urls") / "data"
    with running(request.param, data, **OPEN, TRANSFER_MAX_BYTES="64MiB") as service, serving() as origin:
        begin(service, origin.url("/missing")).ended()  # the workers start after the server
        yield service
