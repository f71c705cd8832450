"""The stack of the tests of outages."""

import pytest

from tests.outages.disks import Shaky
from tests.services import Service


@pytest.fixture
def stack(shaky: Shaky) -> Service:
    """The stack whose disks fail, for tests that leave its disks alone."""
    return shaky.service
