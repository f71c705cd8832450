"""The guarded service, once per profile for all tests of this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from secrets import token_hex

import pytest

from tests.access.guarded import Guarded, guarding
from tests.inprocess import clock

__all__ = ["clock"]


@pytest.fixture(scope="session")
def all_guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Guarded]]:
    """The guarded service in a profile, started when it is first asked for."""
    with ExitStack() as stack:

        @cache
        def start(profile: str) -> Guarded:
            return stack.enter_context(guarding(profile, tmp_path_factory.mktemp(f"guarded-{profile}") / "data"))

        yield start


@pytest.fixture(params=["embedded", "production"])
def guarded(request: pytest.FixtureRequest, all_guarded: Callable[[str], Guarded]) -> Guarded:
    return all_guarded(request.param)


@pytest.fixture
def anything(guarded: Guarded) -> dict[str, str]:
    return guarded.token(f"anything {token_hex(4)}", "*:*")
