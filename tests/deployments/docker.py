"""A Docker of our own in an isolated machine (isolation.py), and the service in it."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deployments import debian
from tests.deployments.isolation import control_groups
from tests.deployments.site import SETTINGS, Site
from tests.services import ROOT, await_

BASE = "docker.io/library/debian:bookworm-slim"
PROJECT = "deployment"
START_SECONDS = 120
# Another Docker's client may come first in PATH.
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Docker:
    """A running dockerd."""

    folder: Path  # for its images, its volumes and our files
    environ: dict[str, str]

    def run(self, *words: str, check: bool = True) -> str:
        """Run `docker` or `docker-compose`, in the checkout; return what it says."""
        done = subprocess.run(words, env=self.environ, cwd=ROOT, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout[-5000:]}{done.stderr[-5000:]}"
        return done.stdout

    def compose(self, *words: str) -> str:
        return self.run("docker-compose", "--ansi", "never", *words)

    def containers(self, *parts: str) -> list[dict[str, Any]]:
        """Return what Docker reports about the containers of some parts, or of all."""
        ids = self.compose("ps", "-a", "-q", *parts).split()
        return list(json.loads(self.run("docker", "inspect", *ids))) if ids else []

    def volume(self, name: str) -> Path:
        return self.folder / "docker/volumes" / f"{PROJECT}_{name}" / "_data"

    def pull_or_make_base(self) -> None:
        """Make a stand-in for the base image where no registry of images can be reached."""
        if subprocess.run(
            ["docker", "pull", "-q", BASE], env=self.environ, capture_output=True, check=False
        ).returncode:
            archive = self.folder / "base.tar"
            debian.bootstrap(archive)
            self.run("docker", "import", str(archive), BASE)
            archive.unlink()


@contextmanager
def running() -> Iterator[Docker]:
    """Run dockerd until the block ends, and leave nothing of it."""
    with tempfile.TemporaryDirectory(prefix="containers-") as name, control_groups("docker"):
        folder = Path(name)
        settings = folder / "settings.env"
        settings.write_text((ROOT / "deploy/env.example").read_text() + SETTINGS)
        environ = {
            "PATH": PATH,
            "HOME": name,
            "DOCKER_HOST": "unix:///run/docker.sock",
            "COMPOSE_PROJECT_NAME": PROJECT,
            "ENV_FILE": str(settings),
        }
        docker = Docker(folder, environ)
        with (folder / "dockerd.log").open("w") as log:
            daemon = subprocess.Popen(
                ["dockerd", "--data-root", str(folder / "docker"), "--host", environ["DOCKER_HOST"]],
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            await_(lambda: daemon.poll() is not None or Path("/run/docker.sock").exists(), START_SECONDS)
            await_(lambda: _works(docker), START_SECONDS)
            yield docker
        finally:
            docker.run("docker-compose", "down", "--volumes", "--timeout", "5", check=False)
            daemon.terminate()
            daemon.wait()


def _works(docker: Docker) -> bool:
    return subprocess.run(["docker", "info"], env=docker.environ, capture_output=True, check=False).returncode == 0


def site(docker: Docker) -> Site:
    """Return the service in the containers of this Docker."""
    (network,) = json.loads(docker.run("docker", "network", "inspect", f"{PROJECT}_origins"))
    return Site("http://127.0.0.1:8080", docker.volume("data"), network["IPAM"]["Config"][0]["Gateway"])
