"""Send tests that share a service to one worker of pytest-xdist, so that each kind of service starts once per run.

conftest.py gives these hooks to pytest. A worker writes the groups of its tests to a file that the controller has
named, because the controller collects nothing; xdist's own `loadgroup` finds no group with pytest 9.2.
"""

import gc
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests import services
from tests.services import ROOT
from vimeo_api import startup

T = TypeVar("T")

# What the tests of shared services run on; `make test-fleet` names the third one.
PROFILES = tuple(os.environ.get("TEST_PROFILES", "embedded production").split())
# Fixtures of services that many files share; the first one that a test uses is its group.
SHARED = ("fetching", "services", "shaking", "all_guarded", "storing")
PRODUCTION = {"stack", "shaky"}  # the fixtures that have no other profile
# Slow folders, which start first, after the shared services.
LONG = ("tests/chaos", "tests/production", "tests/pages", "tests/surfaces", "tests/attacks")
# Tests that start programs, a browser or a service; `make test-fast` skips them and all that is marked `slow`.
SLOW = (
    "tests/chaos/test_audit",
    "tests/chaos/test_chaos",
    "tests/commands",
    "tests/pages",
    "tests/production",
)
# Tests of the dialects that a service of several hosts passes, too: those of them that use `service`.
DIALECTS = (
    "tests/surfaces/test_conditions",
    "tests/surfaces/test_dialects",
    "tests/surfaces/test_named",
    "tests/surfaces/test_queues",
    "tests/surfaces/test_repr_digest",
    "tests/surfaces/resumable/test_real_clients",
    "tests/surfaces/test_store",
    "tests/surfaces/test_streams",
    "tests/surfaces/test_transfer",
    "tests/surfaces/test_vimeo",  # all of them
)
STARTED = {*SHARED, "stack", "browser"}  # the fixtures that start something
THRESHOLD = 10_000  # new objects between two runs of the garbage collector; each test leaves hundreds behind
NOTED = pytest.StashKey[Path]()
_at_end: list[Callable[[], None]] = []  # what to stop after the last test of a group


@contextmanager
def shared(start: Callable[..., AbstractContextManager[T]]) -> Iterator[Callable[..., T]]:
    """Yield a function that starts a service when it is first called; it runs until its group ends.

    One that ran on would take a twentieth of a core until the last test of all, for it sweeps and counts.
    """
    with ExitStack() as running:

        @cache
        def started(*words: str) -> T:
            return running.enter_context(start(*words))

        def stop() -> None:
            running.close()
            started.cache_clear()

        _at_end.append(stop)
        yield started
        _at_end.remove(stop)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Stop shared services after the last test of their group."""
    yield
    if nextitem is not None and group(nextitem) != group(item):
        for stop in _at_end:
            stop()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Load tests as the service loads its modules: the garbage collector need not scan what stays."""
    startup.begin()
    result = yield
    gc.freeze()
    startup.end()
    gc.set_threshold(THRESHOLD)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Mark slow tests, let pytest select and order, then keep groups together."""
    for item in items:
        path, fixtures = str(item.path.relative_to(ROOT)), getattr(item, "fixturenames", ())
        if path.startswith(SLOW) or STARTED.intersection(fixtures):
            item.add_marker(pytest.mark.slow)
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if path.startswith(DIALECTS) and params.get("service") in PROFILES and not item.get_closest_marker("one_host"):
            item.add_marker(pytest.mark.dialects)
    yield
    items.sort(key=lambda item: _place(group(item)))
    told: dict[str, Any] = getattr(config, "workerinput", {})
    if noted := told.get("groups"):
        draft = Path(f"{noted}.{told['workerid']}")
        draft.write_text(json.dumps({item.nodeid: group(item) for item in items}))
        draft.replace(noted)  # atomically: the controller may read while another worker writes


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let only tests marked `slow` start services, so that nobody forgets the mark."""
    services.may_start = item.get_closest_marker("slow") is not None


def group(item: pytest.Item) -> str:
    """Return the shared service or the file of a test, and its profile."""
    fixtures = getattr(item, "fixturenames", ())
    values = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    only = "" if PRODUCTION.isdisjoint(fixtures) else "production"
    profile = next((value for value in values if value in PROFILES), only)
    shared = next((fixture for fixture in SHARED if fixture in fixtures), str(item.path.relative_to(ROOT)))
    return f"{shared} {profile}".strip()


def _place(name: str) -> tuple[int, bool]:
    """Return a group's place in the order: shared services first, the stack before the embedded profile."""
    order = [*SHARED, *LONG]
    return next((at for at, start in enumerate(order) if name.startswith(start)), len(order)), "production" not in name


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker one group after the other, in the order of the tests."""

    noted: dict[str, str]

    def schedule(self) -> None:
        if self.collection is None:
            # Nothing is noted where a worker collected nothing, for example because a path was misspelt.
            self.noted = json.loads(self.config.stash[NOTED].read_text() or "{}")
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self.noted[nodeid]


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where to write its groups; all write the same."""
    if NOTED not in node.config.stash:
        node.config.stash[NOTED] = Path(tempfile.mkstemp(prefix="groups-", suffix=".json")[1])
    node.workerinput["groups"] = str(node.config.stash[NOTED])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Schedule by groups, whatever `--dist` says."""
    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    if NOTED in config.stash:
        config.stash[NOTED].unlink()
