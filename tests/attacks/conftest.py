"""After every attack: no dead worker, no traceback, no byte left in the spool."""

from collections.abc import Iterator

import pytest

from tests.production.parts import children, pid_of
from tests.services import Service, await_


def workers(service: Service) -> set[int]:
    """Return the processes that answer requests."""
    head = pid_of(service, "web") if service.profile == "production" else service.process.pid
    return {head, *(children(head) if service.profile == "production" else [])}


COMPLAINTS = ("Traceback", "unexpected error", "Segmentation fault", "DAMN")  # in the logs: what must not happen


@pytest.fixture
def unharmed(service: Service) -> Iterator[Service]:
    """The service; fails unless it is afterwards as it was before."""
    before, logged, spooled = workers(service), service.log_sizes(), service.spooled()
    yield service
    assert workers(service) == before
    said = service.logs_since(logged)
    assert not [words for words in COMPLAINTS if words in said], said[-3000:]
    await_(lambda: service.spooled() <= spooled)
