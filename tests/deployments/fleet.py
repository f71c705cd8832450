"""A service of several hosts, each in a network namespace of its own: `make test-fleet` runs this, as root.

The tests run in this order and share the fleet.
"""

import secrets
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from deploy.fleet import HOST_PORT, HOSTS
from tests import fleets
from tests.deployments.checks import *  # noqa: F403 -- the tests of every deployment
from tests.deployments.site import PATIENCE, Site
from tests.fetches import OPEN
from tests.fleets import Fleet, cut_off, kill, object_store, parted
from tests.object_stores import frozen, full, signal_all, slow
from tests.services import await_

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # seconds
CLIENTS = 20
ROUNDS = 100
CONTENT = secrets.token_bytes(5000)
GRACE_SECONDS = 2  # after which a placed file leaves the pending area


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.sendall(b"PROXY UNKNOWN\r\n")


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _Balancer(HTTPAdapter):
    """Reaches a host as the balancer does."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool}


@dataclass(frozen=True)
class Host:
    """A host of the fleet, reached without the balancer."""

    name: str
    url: str
    data: Path

    @property
    def vimeo(self) -> str:
        return f"{self.url}/vimeo/api/v1.0/file"

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with a path, or with a link that any host has made."""
        path = path if path.startswith("/") else "/" + path.split("/", 3)[3]
        with requests.Session() as session:
            session.mount("http://", _Balancer(pool_maxsize=1))
            return session.request(method, self.url + path, timeout=PATIENCE, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz").ok
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with fleets.running(**OPEN, GRACE_SECONDS=str(GRACE_SECONDS), NAMED_OPEN_DELETE="1") as fleet:
        yield fleet


@pytest.fixture(scope="module")
def site(fleet: Fleet) -> Site:
    return Site(fleet.url, fleet.data, f"{fleet.network}.1")


@pytest.fixture(scope="module")
def hosts(fleet: Fleet) -> dict[str, Host]:
    return {
        name: Host(name, f"http://{fleet.address(name)}:{HOST_PORT}", fleet.folder(name))
        for name, (_, parts) in HOSTS.items()
        if "nginx" in parts
    }


@pytest.fixture(params=["pending", "placed"])
def settled(request: pytest.FixtureRequest, fleet: Fleet) -> Callable[[], None]:
    """Wait until every file is in the object store, or not at all."""

    def wait() -> None:
        if request.param == "placed":
            await_(lambda: not fleet.pending())

    return wait


def put(host: Host, content: bytes, **form: str) -> str:
    """Upload a one-time file; return its link."""
    response = host.request("PUT", "/vimeo/api/v1.0/file", data=form, files={"file": ("report.xls", content)})
    assert response.status_code == 201, response.text
    return str(response.json()["url"])


def test_what_one_host_takes_another_sends_and_deletes(hosts: dict[str, Host], settled: Callable[[], None]) -> None:
    content, name = secrets.token_bytes(5000), f"{secrets.token_hex(8)}.xls"
    a, b = hosts["a"], hosts["b"]
    assert b.get(f"/download/{name}").status_code == 404  # which must not be remembered
    assert a.request("POST", f"/upload/{name}", data=content).status_code == 201
    assert b.get(f"/download/{name}").content == content
    settled()
    for _ in range(3):  # so that nginx's cache may have it
        assert b.get(f"/download/{name}").content == content
    assert b.get(f"/download/{name}", headers={"Range": "bytes=10-19"}).content == content[10:20]
    etags = {host.get(f"/download/{name}").headers["ETag"] for host in (a, b)}
    assert len(etags) == 1
    assert b.get(f"/download/{name}", headers={"If-None-Match": etags.pop()}).status_code == 304
    head = b.request("HEAD", f"/download/{name}")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "5000")
    assert a.request("DELETE", f"/download/{name}").status_code == 200
    assert b.get(f"/download/{name}").status_code == 404
    again = secrets.token_bytes(5000)
    assert b.request("POST", f"/upload/{name}", data=again).status_code == 201
    for host in (a, b, a, b):
        assert host.get(f"/download/{name}").content == again


def test_one_of_many_clients_of_both_hosts_gets_a_one_time_file(
    hosts: dict[str, Host], settled: Callable[[], None]
) -> None:
    a, b = hosts["a"], hosts["b"]
    contents = [secrets.token_bytes(20_000) for _ in range(ROUNDS // 2)]
    links = [put((a, b)[at % 2], content) for at, content in enumerate(contents)]
    settled()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for link, content in zip(links, contents, strict=True):
            barrier = threading.Barrier(CLIENTS)

            def race(host: Host, link: str = link, barrier: threading.Barrier = barrier) -> requests.Response:
                barrier.wait()
                return host.get(link)

            answers = list(pool.map(race, [a, b] * (CLIENTS // 2)))
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses[200] == 1, statuses
            assert set(statuses) <= {200, 410, 423}, statuses
            assert next(answer for answer in answers if answer.status_code == 200).content == content
    await_(lambda: all(a.get(link).status_code == 410 for link in links))


def test_objects_of_used_up_files_are_removed(fleet: Fleet, hosts: dict[str, Host]) -> None:
    before = fleet.objects()
    link = put(hosts["a"], secrets.token_bytes(20_000))
    await_(lambda: fleet.objects() - before)
    assert hosts["b"].get(link).status_code == 200
    await_(lambda: not fleet.objects() - before)


def test_a_host_that_is_cut_off_costs_only_the_files_that_only_it_has(fleet: Fleet, hosts: dict[str, Host]) -> None:
    a, b = hosts["a"], hosts["b"]
    placed = secrets.token_bytes(5000)
    path = f"/v1/streams/{b.request('POST', '/v1/streams', data=placed).json()['id']}"
    await_(lambda: not fleet.pending())
    with cut_off(b.data):
        await_(lambda: a.get(path).content == placed)
        assert requests.post(f"{fleet.url}/v1/streams", data=b"x", timeout=PATIENCE).status_code == 201
    await_(b.is_ready)
    assert b.get(path).content == placed


def test_hosts_that_cannot_reach_each_other_miss_only_what_the_other_alone_has(
    fleet: Fleet, hosts: dict[str, Host]
) -> None:
    a, b = hosts["a"], hosts["b"]
    content = secrets.token_bytes(5000)
    with parted(a.data, fleet.address("b")):
        with frozen(*object_store(fleet.data)):  # so that the files stay pending
            paths = {
                host.name: f"/v1/streams/{host.request('POST', '/v1/streams', data=content).json()['id']}"
                for host in (a, b)
            }
            link = put(b, content)
            for one, path in ((a, paths["b"]), (b, paths["a"]), (a, link)):
                answer = one.get(path)
                assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
            for host in (a, b):
                assert host.get(paths[host.name]).content == content
            upload = requests.post(f"{fleet.url}/v1/streams", data=b"x", timeout=PATIENCE)
            assert upload.status_code == 201
        # Once a file is placed, the hosts need not reach each other.
        await_(lambda: a.get(paths["b"]).content == content)
        await_(lambda: b.get(paths["a"]).content == content)
    await_(lambda: a.get(link).content == content)
    await_(lambda: b.get(link).status_code == 410)


@pytest.mark.parametrize("fault", [full, slow])
def test_what_an_object_store_does_not_take_in_time_waits_and_is_placed(
    fleet: Fleet, hosts: dict[str, Host], fault: Callable[..., AbstractContextManager[None]]
) -> None:
    a, b = hosts["a"], hosts["b"]
    contents: dict[str, bytes] = {}
    with fault(*object_store(fleet.data)):
        for host in (a, b, a, b):
            content = secrets.token_bytes(5000)
            answer = host.request("POST", "/v1/streams", data=content)
            assert answer.status_code == 201
            contents[f"/v1/streams/{answer.json()['id']}"] = content
        for path, content in contents.items():
            assert [host.get(path).content for host in (a, b)] == [content, content]
    await_(lambda: not fleet.pending(), 120)
    for path, content in contents.items():
        assert [host.get(path).content for host in (a, b)] == [content, content]


def test_a_host_that_dies_has_its_files_when_it_is_back(fleet: Fleet, hosts: dict[str, Host]) -> None:
    a, b = hosts["a"], hosts["b"]
    with frozen(*object_store(fleet.data)):  # so that the file stays pending
        content = secrets.token_bytes(5000)
        path = f"/v1/streams/{b.request('POST', '/v1/streams', data=content).json()['id']}"
        assert a.get(path).content == content
        assert kill(b.data)
        answer = a.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
    await_(b.is_ready, 120)
    await_(lambda: a.get(path).content == content)


def test_what_is_deleted_while_the_object_store_is_frozen_is_not_sent_when_it_is_back(
    fleet: Fleet, hosts: dict[str, Host]
) -> None:
    a, b = hosts["a"], hosts["b"]
    kept, *paths = [f"/v1/streams/{a.request('POST', '/v1/streams', data=CONTENT).json()['id']}" for _ in range(4)]
    await_(lambda: not fleet.pending())
    for path in paths * 3:  # so that nginx caches where they are
        assert b.get(path).content == CONTENT
    pids = object_store(fleet.data)
    with frozen(*pids), ThreadPoolExecutor(len(paths)) as pool:
        deleted = pool.map(lambda path: a.request("DELETE", path).status_code, paths)
        assert set(deleted) == {200}
        signal_all(pids, signal.SIGKILL)  # so that it forgets what it was asked
    await_(lambda: b.get(kept).content == CONTENT)
    assert {b.get(path).status_code for path in paths} == {404}


def test_an_object_store_that_is_frozen_costs_only_what_it_has(fleet: Fleet, hosts: dict[str, Host]) -> None:
    a = hosts["a"]
    content = secrets.token_bytes(5000)
    path = f"/v1/streams/{a.request('POST', '/v1/streams', data=content).json()['id']}"
    await_(lambda: not fleet.pending())
    with frozen(*object_store(fleet.data)):
        answer = a.get(path)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        new = a.request("POST", "/v1/streams", data=content)
        assert new.status_code == 201
        assert hosts["b"].get(f"/v1/streams/{new.json()['id']}").content == content
    await_(lambda: a.get(path).content == content)
