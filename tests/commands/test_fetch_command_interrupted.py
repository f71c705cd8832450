"""`manage.py fetch`: an interrupt leaves nothing behind, or a partial file that `--continue` resumes."""

import json
import re
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.commands.fetching import COMMAND, CONTENT, DIGEST, SLOW, done, left, names, run
from tests.commands.running import refused
from tests.origin import Origin, Page
from tests.services import await_
from vimeo_api.core.fetching.partial_file import ResumableFile


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("page", [Page(CONTENT, throttle=SLOW), Page(CONTENT, stall_after=100_000, ranges="no")])
def test_an_interrupt_leaves_nothing_behind(
    origin: Origin, folder: Path, page: Page, number: signal.Signals, code: int
) -> None:
    process = started(origin.serve("/file", page), folder)
    process.send_signal(number)
    output, error = process.communicate(timeout=60)
    assert (process.returncode, output, error.strip()) == (code, b"", b"Aborted!")
    assert names(folder) == []


def started(url: str, folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a fetch, and return once bytes have come."""
    process = subprocess.Popen([*COMMAND, url, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await_(lambda: any(path.stat().st_blocks and _has_bytes(path) for path in left(folder)), 60)
    return process


def _has_bytes(path: Path) -> bool:
    with path.open("rb") as file:
        return any(file.read())


def test_an_interrupted_fetch_resumes_when_asked_to(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    process = started(url, folder, "--continue")
    [partial] = left(folder)
    await_(lambda: any(partial.read_bytes()[len(CONTENT) // 2 :]))  # which the probe alone would not bring
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error.strip()) == (130, b"Aborted!")
    with ResumableFile(partial) as file:
        kept = covered(file.spans())
    assert max(kept) > len(CONTENT) // 2
    assert names(folder) == [partial.name, f"{partial.name}.spans"]
    origin.requests.clear()
    origin.pages["/file"].throttle = None
    done(run(url, "--continue", "--sha256", DIGEST))
    assert (folder / "file").read_bytes() == CONTENT
    assert names(folder) == ["file"]
    assert asked_for(origin).isdisjoint(kept)


def test_a_killed_fetch_resumes_from_its_last_note(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    process = started(url, folder, "--continue")
    [notes] = await_(lambda: [path for path in folder.glob("*.spans") if '"spans": [[' in path.read_text()])
    process.kill()
    process.communicate()
    noted = covered(json.loads(notes.read_text())["spans"])
    origin.requests.clear()
    origin.pages["/file"].throttle = None
    done(run(url, "--continue", "--sha256", DIGEST))
    assert asked_for(origin).isdisjoint(noted)
    assert names(folder) == ["file"]


def covered(spans: Iterable[Sequence[int]]) -> set[int]:
    """Return the offsets of all bytes in the spans [start, end)."""
    return set[int]().union(*[range(start, end) for start, end in spans])


def asked_for(origin: Origin) -> set[int]:
    """Return the offsets of all bytes that were asked for, but for the probe of the whole."""
    probe, *others = [asked or "" for asked in origin.asked("Range")]
    assert probe == "bytes=0-"
    ranges = re.findall(r"(\d+)-(\d+)", " ".join(others))
    return covered((int(first), int(last) + 1) for first, last in ranges)


def test_a_failed_fetch_resumes_unless_the_file_has_changed(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=4 * SLOW))
    refused(run(url, "--continue", "--max-time", 3), "takes longer than 3 seconds")
    origin.pages["/file"] = Page(CONTENT, statuses=[404])
    refused(run(url, "--continue"), "answers 404")
    assert len(left(folder)) == 1
    other = bytes(reversed(CONTENT))
    origin.pages["/file"] = Page(other, etag='"another"')
    done(run(url, "--continue"))
    assert (folder / "file").read_bytes() == other
    assert names(folder) == ["file"]


def test_partial_bytes_that_cannot_be_resumed_are_removed(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, etag=None, throttle=SLOW))
    refused(run(url, "--continue", "--max-time", 0.5), "takes longer than 0.5 seconds")
    refused(run(origin.url("/missing"), "--continue"), "answers 404")
    assert names(folder) == []


def test_a_complete_fetch_whose_name_was_taken_is_used_again(
    origin: Origin, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        raise FileExistsError

    url = origin.serve("/file", Page(CONTENT))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "hardlink_to", taken)
        refused(run(url, "--continue"), "file has appeared meanwhile")
    origin.requests.clear()
    done(run(url, "--continue"))
    assert asked_for(origin) == set()
    assert (folder / "file").read_bytes() == CONTENT


def test_two_fetches_do_not_resume_the_same_file(origin: Origin, folder: Path) -> None:
    url = origin.serve("/file", Page(CONTENT, throttle=SLOW))
    process = started(url, folder, "--continue")
    refused(run(url, "--continue"), "Another process is fetching this URL into this folder")
    assert len(left(folder)) == 1
    origin.pages["/file"] = Page(CONTENT)
    done(run(url, "other"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    done(run(url, "--continue"))
    assert names(folder) == ["file", "other"]
