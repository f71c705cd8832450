"""The load generators: wrk for small requests, curl for large bodies, siege for long.

What they find, by name:

rate      requests or MiB a second
p50 p99   milliseconds; a slow response delays the next request of its connection, so the tail is underestimated
refused   responses of 400 and above
broken    connections that failed, and requests without a response
"""

import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.serving.packages import ETC
from benchmarks.serving.plan import MIB
from benchmarks.serving.server import Upload

BOUNDARY = "a-boundary-that-no-body-holds"
TIMEOUT = 30  # seconds for one small request
CURL = ("curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--header", "Expect:", "--output", "/dev/null")

Sample = dict[str, float]


class LoadError(Exception):
    """A server did not do what was requested; the message says what it did."""


def get(url: str, *, seconds: int, connections: int) -> Sample:
    """Request one URL over and over. Raises LoadError if most responses are refusals."""
    return _granted(_get(url, seconds, connections, {}))


def head(origin: str, path: str, *, seconds: int, connections: int) -> Sample:
    """Request the headers of one path over and over. Raises LoadError if most responses are refusals."""
    return _granted(_wrk(origin, seconds, connections, {}, "varied.lua", "HEAD", path, "0", _seed()))


def get_refused(url: str, *, seconds: int, connections: int, headers: Mapping[str, str]) -> Sample:
    """Request a missing URL over and over. Raises LoadError unless all responses are refusals."""
    found = _get(url, seconds, connections, headers)
    if found["refused"] < found["requests"]:
        raise LoadError(f"{url} is there")
    return found | {"refused": 0}


def _get(url: str, seconds: int, connections: int, headers: Mapping[str, str]) -> Sample:
    if "{" in url:
        origin, path = _split(url)
        return _wrk(origin, seconds, connections, headers, "varied.lua", "GET", path, "0", _seed())
    return _wrk(url, seconds, connections, headers, "report.lua")


def get_each(origin: str, paths: Sequence[str], *, seconds: int, connections: int, method: str = "GET") -> Sample:
    """Request each path but the first once, in order; wrk itself uses the first one up.

    If the paths end before the time, there is no rate.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".paths") as file:
        file.writelines(f"{path}\n" for path in paths)
        file.flush()
        return _granted(_wrk(origin, seconds, connections, {}, "listed.lua", file.name, method))


def put(origin: str, upload: Upload, size: int, *, seconds: int, connections: int) -> Sample:
    """Upload bodies of `size` bytes, each under a new name if the server has names."""
    headers = {name: value.replace("{bytes}", str(size)) for name, value in upload.headers.items()}
    words = [upload.method, upload.path, str(size), _seed()]
    if upload.part:
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        words += [upload.part, BOUNDARY]
    return _granted(_wrk(origin, seconds, connections, headers, "varied.lua", *words))


def _wrk(url: str, seconds: int, connections: int, headers: Mapping[str, str], script: str, *words: str) -> Sample:
    command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
    command += ["--timeout", f"{TIMEOUT}s", "--script", script]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run([*command, url, "--", *words], cwd=ETC, capture_output=True, text=True, check=False)
    lines = done.stderr.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise LoadError(f"wrk: {(done.stderr or done.stdout).strip()[-300:]}")
    found = json.loads(lines[-1])
    if not found["requests"]:
        raise LoadError(f"not one answer in {seconds} s")
    if not found.pop("exhausted"):
        found["rate"] = found["requests"] / found["seconds"]
    return dict(found)


def _granted(found: Sample) -> Sample:
    if found["refused"] > found["requests"] / 2:
        raise LoadError(f"{found['refused']:.0f} of {found['requests']:.0f} answers are refusals")
    return found


def _split(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}", slash + path


def _seed() -> str:
    return str(random.randrange(2**31))


def download(url: str, size: int, *, streams: int) -> Sample:
    """Get a large file over several connections at once, each by a curl of its own."""
    return _curls([[*CURL, "--write-out", "%{size_download}", url]] * streams, size)


def send(origin: str, upload: Upload, body: Path) -> Sample:
    """Upload a large file."""
    size = body.stat().st_size
    command = [*CURL, "--request", upload.method, "--write-out", "%{size_upload}"]
    for name, value in upload.headers.items():
        command += ["--header", f"{name}: {value.replace('{bytes}', str(size))}"]
    if upload.part:
        for name, value in upload.fields.items():
            command += ["--form", f"{name}={value}"]
        command += ["--form", f"{upload.part}=@{body};filename={_seed()}.bin"]
    else:
        command += ["--upload-file", str(body)]
    return _curls([[*command, origin + upload.path.replace("{name}", f"{_seed()}.bin")]], size)


def siege(lines: Sequence[str], *, seconds: int, clients: int) -> Sample:
    """Let a number of clients request the lines of a siege file, without a pause."""
    with tempfile.TemporaryDirectory() as home:
        urls = Path(home) / "urls"
        urls.write_text("".join(f"{line}\n" for line in lines))
        command = ["siege", "--rc", str(ETC / "siege.conf"), "--file", str(urls), "--concurrent", str(clients)]
        command += ["--time", f"{seconds}S", "--benchmark", "--content-type", "application/octet-stream"]
        done = subprocess.run(command, env={**os.environ, "HOME": home}, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        raise LoadError(f"siege: {(done.stderr or done.stdout).strip()[-300:]}") from None
    asked = found["transactions"] + found["failed_transactions"]
    return {
        "requests": asked,
        "failed": asked - found["successful_transactions"],  # siege itself has a 404 as neither
        "rate": found["transaction_rate"],
        "mean": found["response_time"] * 1000,
        "longest": found["longest_transaction"] * 1000,
    }


def _curls(commands: Sequence[Sequence[str]], size: int) -> Sample:
    begin = time.perf_counter()
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    try:
        said = [process.communicate() for process in processes]
    finally:  # for those that an interruption has left
        for process in processes:
            process.kill()
    seconds = time.perf_counter() - begin
    for process, (moved, error) in zip(processes, said, strict=True):
        if process.returncode or int(moved) < size:
            raise LoadError(error.strip() or f"{moved} of {size} bytes")
    return {"rate": size * len(commands) / MIB / seconds, "seconds": seconds, "gib": size * len(commands) / 1024 / MIB}
