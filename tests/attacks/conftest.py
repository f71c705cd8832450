"""What every attack must leave behind: no dead worker, no traceback, no byte in the spool."""

from collections.abc import Iterator

import pytest

from tests.services import Service, await_, pids_of


def workers(service: Service) -> set[int]:
    """Return the processes that answer requests."""
    found = pids_of(service, "--ini") if service.profile == "production" else [service.process.pid]
    return set(found)


def complaints(service: Service) -> int:
    """Return how often the service has logged what nobody foresaw."""
    logs = service.logs()
    return sum(logs.count(words) for words in ("Traceback", "unforeseen", "Segmentation fault", "DAMN"))


@pytest.fixture
def unharmed(service: Service) -> Iterator[Service]:
    """The service; fails unless it is afterwards as it was before."""
    before, complained, spooled = workers(service), complaints(service), service.spooled()
    yield service
    assert workers(service) == before
    assert complaints(service) == complained, service.logs()[-3000:]
    await_(lambda: service.spooled() <= spooled)
