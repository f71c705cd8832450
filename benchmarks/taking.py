"""Takes the file out of one body in one way: `python -m benchmarks.taking WAY BODY TARGET`, for benchmarks.multipart.

Prints seconds, CPU seconds, and the bytes by which the peak of the resident memory grew (VmHWM, proc(5)).
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from werkzeug.formparser import FormDataParser

from vimeo_api.core.storage import writer as writing
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.core.storage.writer import Writer
from vimeo_api.web.receiving import multipart_forms
from vimeo_api.web.receiving.body_sources import Span, Spooled, Streamed

BOUNDARY = "------------------------d74496d66958873e"  # as curl makes them
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def werkzeug(body: Path, target: Path) -> None:
    """Let Werkzeug read the form, with a file of ours in place of its temporary one."""

    def opened(*_: object, **__: object) -> IO[bytes]:
        return target.open("x+b")

    with body.open("rb") as stream:
        parser = FormDataParser(stream_factory=opened)
        _, _, files = parser.parse(stream, "multipart/form-data", body.stat().st_size, {"boundary": BOUNDARY})
        files["file"].close()


def streamed(body: Path, target: Path) -> None:
    """Read the form as it comes in."""
    with body.open("rb", buffering=0) as stream, target.open("xb", buffering=0) as out:
        for event in multipart_forms.events(Streamed(stream.read), BOUNDARY):
            if isinstance(event, bytes):
                out.write(event)


def copied(body: Path, target: Path) -> None:
    """Search the file, and let the kernel copy from it."""
    with _opened(body) as staging, target.open("xb") as out:
        span = _file(staging)
        left, position = len(span), span.start
        while left:
            count = os.copy_file_range(staging.descriptor, out.fileno(), left, position)
            left, position = left - count, position + count


def written(body: Path, target: Path) -> None:
    """Search the file, and copy from it with several threads."""
    with _opened(body) as staging, target.open("xb") as out:
        span = _file(staging)
        writer = Writer(out.fileno(), len(span))

        def move(start: int) -> None:
            length = min(writing.CHUNK, len(span) - start)
            writer.write_at(start, os.pread(staging.descriptor, length, span.start + start))

        with ThreadPoolExecutor(writing.THREADS) as threads:
            deque(threads.map(move, range(0, len(span), writing.CHUNK)), maxlen=0)


def cut(body: Path, _: Path) -> None:
    """Search the file, and cut it down in place."""
    with _opened(body) as staging:
        span = _file(staging)
        staging.cut(span.start, span.stop)


WAYS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "werkzeug": ("Werkzeug's form parser, into a file", werkzeug),
    "streamed": ("ours as the body streams in (embedded)", streamed),
    "written": ("search, then the concurrent writer", written),
    "copied": ("search, then copy_file_range(2)", copied),
    "cut": ("search, then cut in place (production)", cut),
}
PRODUCTION = "cut"


def _opened(body: Path) -> Staging:
    return Staging(body, os.open(body, os.O_RDWR), owned=False)


def _file(staging: Staging) -> Span:
    (span,) = (event for event in multipart_forms.events(Spooled(staging), BOUNDARY) if isinstance(event, Span))
    return span


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    """Take the file out of the body in the second argument, into the third, and print what it took."""
    take = WAYS[sys.argv[1]][1]
    before, cpu, begin = _peak(), time.process_time(), time.perf_counter()
    take(Path(sys.argv[2]), Path(sys.argv[3]))
    print(time.perf_counter() - begin, time.process_time() - cpu, _peak() - before)


if __name__ == "__main__":
    main()
