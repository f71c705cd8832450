"""deploy/README.md on a fresh Debian 12, booted by systemd-nspawn: `make host` runs this in an isolated machine.

The tests run in this order and share the host, whose network is that of the tests.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.deployments import checks, debian
from tests.deployments.checks import *  # noqa: F403 -- the tests of every deployment
from tests.deployments.isolation import control_groups
from tests.deployments.site import PATIENCE, SETTINGS, Site
from tests.production.parts import children
from tests.services import ROOT, STOP_SECONDS, await_

pytestmark = pytest.mark.timeout(1200)  # seconds; the first test waits for downloads and a compiler
# What `apt-get install` finds on every installed Debian.
INSTALLED = ("ca-certificates", "dbus", "logrotate", "systemd", "systemd-sysv")
MOST_EXPOSED = 4.0  # of `systemd-analyze security`; lower is better
README = (ROOT / "deploy/README.md").read_text()
SERVICES = re.findall(r"^(?:Wants)=(.*)$", (ROOT / "deploy/systemd/vimeo_api.target").read_text(), re.MULTILINE)[
    0
].split()


@dataclass
class Host:
    """A booted Debian."""

    root: Path
    nspawn: "subprocess.Popen[bytes]"

    def run(self, script: str) -> str:
        """Run a script as root on the host; return what it says."""
        enter = ["nsenter", "-t", str(self.leader()), "--all", "--wdns=/root", "env", "-i", "HOME=/root"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        command = [*enter, path, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "bash", "-e", "-c", script]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def leader(self) -> int:
        """Return its first process, as we see it."""
        # While it boots, nspawn has one more child.
        return await_(lambda: sum(found) if len(found := children(self.nspawn.pid)) == 1 else 0)

    def reboot(self) -> None:
        self.run("systemctl reboot || true")
        self.nspawn.wait(STOP_SECONDS)  # we start the second boot
        self.nspawn = _boot(self.root)
        await_(self.is_up)

    def is_up(self) -> bool:
        with suppress(AssertionError, OSError):  # the process that we wanted to enter may have ended
            return self.run("systemctl is-system-running --wait || true").strip() in {"running", "degraded"}
        return False


@contextmanager
def booted() -> Iterator[Host]:
    """Boot a new Debian with our checkout at /repository; power it off at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="host-") as name, control_groups("payload", "supervisor"):
        root = Path(name) / "root"
        debian.bootstrap(root, *INSTALLED)
        (root / "etc/dpkg/dpkg.cfg.d/no-sync").write_text("force-unsafe-io\n")  # it lives for minutes
        _copy_checkout(root / "repository")
        host = Host(root, _boot(root))
        try:
            await_(host.is_up)
            yield host
        finally:
            if host.nspawn.poll() is None:
                os.kill(host.leader(), signal.SIGKILL)  # ends all its processes, pid_namespaces(7)
            host.nspawn.wait()


def _boot(root: Path) -> "subprocess.Popen[bytes]":
    options = ["--register=no", "--keep-unit", "--resolv-conf=replace-host", "--timezone=off", "--console=pipe"]
    with root.with_name("console.log").open("a") as console:
        return subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", str(root), *options, "--boot"],
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},  # sysctl net.*, as on a host
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
        )


def _copy_checkout(target: Path) -> None:
    """Make a repository of the files as they are here, committed or not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=target, check=True)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with booted() as host:
        yield host


@pytest.fixture(scope="module")
def said(host: Host) -> str:
    """What the commands of deploy/README.md say, run unchanged."""
    (block,) = re.findall(r"^As root:\n\n```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return host.run(block.replace("<this repository>", "/repository"))


@pytest.fixture(scope="module")
def site(host: Host, said: str) -> Site:
    assert said
    with (host.root / "etc/vimeo_api/env").open("a") as settings:
        settings.write(SETTINGS)
    host.run("systemctl restart vimeo_api.target")
    site = Site("http://127.0.0.1", host.root / "var/lib/vimeo_api", "127.0.0.1")
    await_(site.answers)
    return site


def test_the_commands_of_the_document_start_the_service(said: str) -> None:
    assert '{"message":"pong","status":"ok"}' in said
    assert '"status":"ready"' in said


def test_no_unit_has_failed_or_restarted(host: Host, site: Site) -> None:
    await_(
        lambda: (
            "workers" in (found := requests.get(f"{site.url}/readyz", timeout=PATIENCE).json()["dependencies"])
            and found["workers"]["ok"]
        )
    )
    assert host.run("systemctl list-units --failed --plain --no-legend 'vimeo_api*' nginx postgresql 'redis*'") == ""
    for unit in SERVICES:
        assert host.run(f"systemctl show -P NRestarts {unit}").strip() == "0", unit


@pytest.mark.parametrize("unit", [*SERVICES, "vimeo_api-migrate.service"])
def test_each_unit_is_in_a_sandbox(host: Host, site: Site, unit: str) -> None:
    said = host.run(f"systemd-analyze security --no-pager {unit} | tail -1")
    assert float(re.findall(r": (\d+\.\d)", said)[0]) <= MOST_EXPOSED, said


def test_logs_are_rotated_during_downloads(host: Host, site: Site) -> None:
    host.run("logrotate -f /etc/logrotate.d/vimeo_api")
    assert (site.data / "journal/deliveries.log.1").exists()
    checks.test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site)


def test_all_units_come_back_after_a_kill(host: Host, site: Site) -> None:
    units = " ".join([*SERVICES, "nginx"])
    before = host.run(f"systemctl show -P MainPID {units}")
    host.run(f"systemctl kill -s KILL {units}")

    def back() -> bool:
        return set(host.run(f"systemctl is-active {units} || true").split()) == {"active"} and site.answers()

    await_(lambda: back() and not set(host.run(f"systemctl show -P MainPID {units}").split()) & set(before.split()))
    checks.test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site)


def test_it_serves_again_after_a_reboot(host: Host, site: Site) -> None:
    kept = f"{site.url}/upload/kept.txt"
    assert requests.post(kept, data=b"kept", timeout=PATIENCE).status_code == 201
    host.reboot()
    await_(site.answers)
    assert requests.get(f"{site.url}/download/kept.txt", timeout=PATIENCE).content == b"kept"
    checks.test_a_one_time_file_is_handed_out_once_and_its_bytes_go(site)
