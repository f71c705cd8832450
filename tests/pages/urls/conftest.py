"""The service of the tests of URL uploads on the page."""

from collections.abc import Callable

import pytest

from tests.services import Service


@pytest.fixture(params=["embedded"])
def service(request: pytest.FixtureRequest, fetching: Callable[[str], Service]) -> Service:
    """The real service that fetches from loopback, too, in one profile or in `BOTH`."""
    return fetching(request.param)
