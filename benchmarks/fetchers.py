"""The fetchers: ours as the service runs it, curl and aria2c. Each fetches a URL into a new file and removes it."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vimeo_api.core.fetching import client
from vimeo_api.core.fetching.connections import RECEIVE_CHUNK
from vimeo_api.core.fetching.partial_file import PartialFile
from vimeo_api.core.storage.reservations import Reservations


@dataclass(frozen=True)
class Ours:
    """The fetcher and its sink, in this process, as a worker that runs already uses them."""

    url: str
    folder: Path
    connections: int = client.CONNECTIONS
    chunk: int = RECEIVE_CHUNK
    synced: bool = False

    def seconds(self) -> float:
        """Fetch once. Includes making room, the notes for resuming, and the fsync if there is one."""
        reservations = Reservations(self.folder, keep_free=0)
        begin = time.perf_counter()

        def checkpoint(_received: int, _total: int | None) -> None:
            partial.checkpoint()

        with PartialFile(reservations, "transfer", "benchmark") as partial:
            fetched = client.fetch(
                self.url,
                partial,
                allow_private=True,
                connections=self.connections,
                chunk=self.chunk,
                progress=checkpoint,
            )
            with partial.staging() as staging:
                if self.synced:
                    staging.sync()
                seconds = time.perf_counter() - begin
                if staging.size != fetched.version.size:
                    raise ValueError("the file has another size than the origin announced")
            partial.discard()
        return seconds


@dataclass(frozen=True)
class Program:
    """A program that is started, fetches into the target and ends."""

    arguments: Sequence[str]
    target: Path
    size: int  # bytes that it should bring
    synced: bool

    def seconds(self) -> float:
        """Fetch once. Includes the program's start, and the fsync if there is one."""
        begin = time.perf_counter()
        try:
            subprocess.run(self.arguments, check=True)
            with self.target.open("rb") as file:
                if self.synced:
                    os.fsync(file.fileno())
                seconds = time.perf_counter() - begin
                if os.fstat(file.fileno()).st_size != self.size:
                    raise ValueError(f"{self.arguments[0]} brought a file of another size")
            return seconds
        finally:
            self.target.unlink(missing_ok=True)


def curl(url: str, target: Path, size: int, *, synced: bool, certificate: Path) -> Program:
    """Return curl, which has one connection."""
    options = ["--silent", "--show-error", "--fail", "--cacert", str(certificate), "--output", str(target)]
    return Program(["curl", *options, url], target, size, synced)


def aria2c(url: str, target: Path, size: int, *, synced: bool, certificate: Path, connections: int) -> Program:
    """Return aria2c, with the fastest of the settings that were tried."""
    options = [
        f"--max-connection-per-server={connections}",
        f"--split={connections}",
        "--min-split-size=1M",
        "--file-allocation=falloc",
        "--disk-cache=0",
        "--no-conf",
        "--quiet",
        f"--ca-certificate={certificate}",
        f"--dir={target.parent}",
        f"--out={target.name}",
    ]
    return Program(["aria2c", *options, url], target, size, synced)
