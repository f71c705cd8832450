"""The service of the tests of URL uploads on the page."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.fetches import OPEN, begin
from tests.origin import serving
from tests.services import Service, running


@pytest.fixture(scope="session")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """The real service in a profile, with URL uploads from loopback."""
    with ExitStack() as stack:

        @cache
        def start(profile: str) -> Service:
            data = tmp_path_factory.mktemp(f"urls-{profile}") / "data"
            service = stack.enter_context(running(profile, data, **OPEN, TRANSFER_MAX_BYTES="64MiB"))
            with serving() as origin:
                begin(service, origin.url("/missing")).ended()  # the workers start after the server
            return service

        yield start


@pytest.fixture(params=["embedded"])
def service(request: pytest.FixtureRequest, fetching: Callable[[str], Service]) -> Service:
    """The same in one profile, or in `BOTH`."""
    return fetching(request.param)
