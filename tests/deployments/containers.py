"""docker-compose.yml, from a fresh checkout to an upgrade: `make containers` runs this in an isolated machine.

The tests run in this order and share the containers.
"""

import json
import os
import secrets
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml
from playwright.sync_api import Browser, expect

from tests.deployments import checks
from tests.deployments import docker as dockers
from tests.deployments.checks import *  # noqa: F403 -- the tests of every deployment
from tests.deployments.docker import Docker
from tests.deployments.site import PATIENCE, Site
from tests.pages.browsing import choose, payload, row, unique
from tests.pages.conftest import browser
from tests.services import ROOT, await_

__all__ = ["browser"]

pytestmark = pytest.mark.timeout(1200)  # seconds; the first test waits for downloads and a compiler
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PARTS = sorted(set(SERVICES) - {"migrate"})


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with dockers.running() as docker:
        docker.pull_or_make_base()
        docker.compose("up", "--build", "-d")
        yield docker


@pytest.fixture(scope="module")
def site(docker: Docker) -> Site:
    site = dockers.site(docker)
    await_(site.answers, 120)
    return site


def healths(docker: Docker) -> dict[str, str]:
    return {one["Name"]: one["State"]["Health"]["Status"] for one in docker.containers(*PARTS)}


def details(docker: Docker) -> dict[str, Any]:
    """Return what /readyz says to operators."""
    command = ["exec", "-T", "nginx", "curl", "-s", "http://127.0.0.1/readyz"]
    return dict(json.loads(docker.compose(*command))["dependencies"])


def named(site: Site, content: bytes) -> str:
    """Upload a file; return its URL."""
    name = f"{secrets.token_hex(8)}.txt"
    assert requests.post(f"{site.url}/upload/{name}", data=content, timeout=PATIENCE).status_code == 201
    return f"{site.url}/download/{name}"


def test_every_part_gets_healthy_without_a_restart(docker: Docker, site: Site) -> None:
    await_(lambda: set(healths(docker).values()) == {"healthy"}, 90)
    assert details(docker)["workers"]["ok"]
    assert {one["RestartCount"] for one in docker.containers()} == {0}


def test_the_page_takes_a_file_in_a_browser(site: Site, browser: Browser) -> None:
    page = browser.new_page(base_url=site.url)
    page.goto("/upload")
    file = payload(unique("page.txt"))
    choose(page, file)
    expect(row(page, file["name"])).to_contain_text("Uploaded")
    link = page.get_by_role("link", name=file["name"]).first
    with page.expect_download() as download:
        link.click()
    assert download.value.path().read_bytes() == file["buffer"]
    page.close()


def test_no_part_may_do_more_than_it_needs(docker: Docker) -> None:
    for part in PARTS:
        for one in docker.containers(part):
            host = one["HostConfig"]
            assert host["ReadonlyRootfs"], part
            assert host["CapDrop"] == ["ALL"], part
            assert host["SecurityOpt"] == ["no-new-privileges:true"], part
            assert one["Config"]["User"] in {"www-data", "redis", "postgres"}, part
            assert (host["NetworkMode"] == "none") == (part not in {"fetcher", "nginx"}), part
            assert host["RestartPolicy"]["Name"] == "unless-stopped", part
            assert host["LogConfig"]["Config"], part


def test_no_image_has_a_compiler_or_pip(docker: Docker) -> None:
    look = "command -v gcc cc; ls /srv/vimeo_api/.venv/bin | grep pip; true"
    for part in ("web", "nginx", "postgres", "broker"):
        assert docker.compose("exec", "-T", part, "sh", "-c", f"({look}) 2> /dev/null") == "", part


def test_every_part_that_is_killed_starts_again(docker: Docker, site: Site) -> None:
    kept = named(site, b"before")
    before = {one["Id"]: one["RestartCount"] for one in docker.containers(*PARTS)}
    for one in docker.containers(*PARTS):
        os.kill(one["State"]["Pid"], signal.SIGKILL)
    await_(lambda: all(one["RestartCount"] > before[one["Id"]] for one in docker.containers(*PARTS)))
    await_(lambda: site.answers() and requests.get(kept, timeout=PATIENCE).content == b"before")
    checks.test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site)


def test_the_journal_is_rotated_during_downloads(docker: Docker, site: Site) -> None:
    docker.compose("exec", "-T", "nginx", "nginx-with-journal", "rotate")
    assert (site.data / "journal/deliveries.log.1").exists()
    checks.test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site)


def test_several_workers_share_the_work(docker: Docker, site: Site) -> None:
    docker.compose("up", "-d", "--scale", "worker=3")
    await_(lambda: len(docker.containers("worker")) == 3)
    await_(lambda: {one["State"]["Health"]["Status"] for one in docker.containers("worker")} == {"healthy"})
    checks.test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site)


def test_a_worker_that_starts_again_and_again_shows(docker: Docker, site: Site) -> None:
    looping = docker.folder / "looping.yml"
    command = SERVICES["fetcher"]["command"]
    looping.write_text(yaml.safe_dump({"services": {"fetcher": {"command": ["timeout", "3", *command]}}}))
    files = ["-f", "docker-compose.yml", "-f", str(looping)]
    docker.compose(*files, "up", "-d", "--scale", "worker=3", "fetcher")
    for path in (site.data / "heartbeats").glob("fetch@*"):
        os.utime(path, (0, 0))  # the last heartbeat of the one that worked
    (fetcher,) = docker.containers("fetcher")
    await_(lambda: docker.containers("fetcher")[0]["RestartCount"] > 2)
    assert "fetch" in details(docker)["workers"]["trouble"]
    assert fetcher["State"]["Health"]["Status"] != "healthy"
    assert site.answers()
    docker.compose("up", "-d")
    await_(lambda: details(docker)["workers"]["ok"])


def test_it_stops_in_order_and_keeps_its_data(docker: Docker, site: Site) -> None:
    kept = named(site, b"kept")
    docker.compose("stop")
    assert {one["Name"]: one["State"]["ExitCode"] for one in docker.containers() if one["State"]["ExitCode"]} == {}
    docker.compose("down")
    docker.compose("up", "-d")
    await_(site.answers)
    assert requests.get(kept, timeout=PATIENCE).content == b"kept"


def test_a_start_brings_old_tables_up_to_date(docker: Docker, site: Site) -> None:
    kept = named(site, b"old")
    docker.compose("stop", "nginx", "web", "worker", "fetcher", "placer", "beat")
    docker.compose("run", "--rm", "-T", "migrate", ".venv/bin/python", "manage.py", "db", "downgrade")
    docker.compose("up", "-d")
    await_(site.answers)
    assert requests.get(kept, timeout=PATIENCE).content == b"old"
    assert named(site, b"new")
    assert {one["State"]["ExitCode"] for one in docker.containers("migrate")} == {0}
