"""Fetching the missing bytes of a file: never a byte of another version, and no byte twice."""

import pytest

from tests.core.fetching import CONTENT, Memory, fetch, fetched
from tests.origin import Origin, Page, noise
from vimeo_api.core.errors import StorageFull
from vimeo_api.core.fetching.client import OriginFailed, Version
from vimeo_api.core.fetching.plan import missing

pytestmark = pytest.mark.usefixtures("nothing_outlives_a_fetch")


def test_it_fetches_only_what_is_missing(origin: Origin) -> None:
    url = origin.serve("/file", Page(CONTENT))
    sink = Memory(fails_after=600_000)
    with pytest.raises(StorageFull):
        fetch(url, sink)
    version = sink.offers[0][0].version
    gaps, sink.fails_after = missing(len(CONTENT), sink.present), None
    fetch(origin.serve("/again", Page(CONTENT)), sink, resume=version)
    assert sink.data == CONTENT
    assert [resumed for _, resumed in sink.offers] == [False, True]
    again = [request.headers["range"] for request in origin.requests if request.path == "/again"]
    asked = [tuple(map(int, text[6:].split("-"))) for text in again if text != "bytes=0-"]
    assert asked
    assert all(any(start <= first <= last < end for start, end in gaps) for first, last in asked)


@pytest.mark.parametrize("page", [Page(CONTENT, etag='"other"'), Page(CONTENT[:-1]), Page(CONTENT, ranges="no")])
def test_a_new_version_is_fetched_from_the_start(origin: Origin, page: Page) -> None:
    sink = Memory()
    sink.data, sink.present = bytearray(b"x" * 2_000_000), [(0, 500_000), (600_000, 2_000_000)]
    fetch(origin.serve("/file", page), sink, resume=Version(len(CONTENT), '"one"'))
    assert sink.data == page.content
    assert [resumed for _, resumed in sink.offers] == [False]


def test_alternating_versions_are_not_mixed(origin: Origin) -> None:
    # As several hosts behind one name do it, of which some have the new version, and not all give ranges.
    other = Page(noise(1_000_001)[1:], etag='"two"', ranges="no", break_after=300_000)
    url = origin.serve("/file", Page(CONTENT, first=[other]))
    sink = Memory()
    sink.data, sink.present = bytearray(CONTENT[:500_000]), [(0, 500_000)]
    fetch(url, sink, resume=Version(len(CONTENT), '"one"'))
    assert sink.data == CONTENT


def test_an_interrupted_fetch_resumes_in_ranges_if_the_origin_now_supports_them(origin: Origin) -> None:
    broken = Page(CONTENT, ranges="no", break_after=300_000)
    sink = Memory()
    fetch(origin.serve("/file", Page(CONTENT, first=[broken])), sink)
    assert sink.data == CONTENT
    assert [resumed for _, resumed in sink.offers] == [False, True]


def test_a_range_of_another_version_is_never_used(origin: Origin) -> None:
    with pytest.raises(OriginFailed, match="changed the file"):
        fetched(origin.serve("/file", Page(CONTENT, ranges="blind", changes_after=1)))


def test_a_part_that_does_not_say_its_version_is_not_trusted(origin: Origin) -> None:
    page = Page(CONTENT, ranges="blind and mute", changes_after=1)
    assert fetched(origin.serve("/file", page)) == bytes(byte ^ 0xFF for byte in CONTENT)


def test_a_complete_partial_file_is_not_fetched_again(origin: Origin) -> None:
    sink = Memory()
    sink.data, sink.present = bytearray(CONTENT), [(500_000, 1_000_000), (0, 500_000)]
    fetch(origin.serve("/file", Page(CONTENT)), sink, resume=Version(len(CONTENT), '"one"'))
    assert sink.data == CONTENT
    assert origin.asked("Range") == ["bytes=0-"]
