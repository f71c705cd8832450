"""The guarded service, once per profile for all tests of this folder."""

from collections.abc import Callable
from secrets import token_hex

import pytest

from tests.access.guarded import Guarded
from tests.inprocess import clock

__all__ = ["clock"]


@pytest.fixture(params=["embedded", "production"])
def guarded(request: pytest.FixtureRequest, all_guarded: Callable[[str], Guarded]) -> Guarded:
    return all_guarded(request.param)


@pytest.fixture
def anything(guarded: Guarded) -> dict[str, str]:
    return guarded.token(f"anything {token_hex(4)}", "*:*")
