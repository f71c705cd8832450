"""Conditions and ranges, alone and together, against RFC 9110, sections 13.2.2, 13.1 and 14, in both profiles.

The table is written by hand. `E` is the file's ETag, `M` its time of modification, `-` and `+` a time before and after
that, `x` another ETag or an invalid date.
"""

from email.utils import formatdate, parsedate_to_datetime

import pytest
import requests
from werkzeug.datastructures import Headers

from tests.services import Service, unlocked
from vimeo_api.web.sending import conditions
from vimeo_api.web.sending.conditions import Version

CONTENT = bytes(range(100))
SHORT = {
    "IM": "If-Match",
    "IUS": "If-Unmodified-Since",
    "INM": "If-None-Match",
    "IMS": "If-Modified-Since",
    "IR": "If-Range",
    "R": "Range",
}
WHOLE = "bytes 0-99/100"
TABLE: dict[str, int | str] = {
    "": 200,
    # Each alone.
    "IM=E": 200,
    "IM=*": 200,
    "IM=x": 412,
    "IM=x,E": 200,
    "IM=W/E": 412,
    "IM=bare": 412,
    "IUS=M": 200,
    "IUS=+": 200,
    "IUS=-": 412,
    "IUS=x": 200,
    "INM=E": 304,
    "INM=W/E": 304,
    "INM=x,E": 304,
    "INM=*": 304,
    "INM=x": 200,
    "INM=bare": 200,
    "IMS=M": 304,
    "IMS=+": 304,
    "IMS=-": 200,
    "IMS=x": 200,
    # Pairs, of which the ETag decides.
    "IM=E IUS=+": 200,
    "IM=E IUS=-": 200,
    "IM=x IUS=+": 412,
    "INM=E IMS=M": 304,
    "INM=E IMS=-": 304,
    "INM=E IMS=x": 304,
    "INM=x IMS=+": 200,
    "INM=x IMS=M": 200,
    # First the one pair, then the other.
    "IM=E INM=E": 304,
    "IM=x INM=E": 412,
    "IM=E INM=x": 200,
    "IM=* IMS=M": 304,
    "IUS=- INM=E": 412,
    "IUS=+ INM=E": 304,
    "IUS=+ IMS=M": 304,
    "IUS=- IMS=-": 412,
    "IM=E IUS=+ INM=E IMS=-": 304,
    "IM=E IUS=+ INM=x IMS=+": 200,
    "IM=x IUS=+ INM=E IMS=M": 412,
    # Ranges.
    "R=bytes=0-9": "bytes 0-9/100",
    "R=bytes=90-": "bytes 90-99/100",
    "R=bytes=90-500": "bytes 90-99/100",
    "R=bytes=-10": "bytes 90-99/100",
    "R=bytes=-100": WHOLE,
    "R=bytes=-500": WHOLE,
    "R=Bytes=0-9": "bytes 0-9/100",
    "R=bytes=100-": 416,
    "R=bytes=-0": 416,
    "R=bytes=9-0": 416,
    "R=bytes=x": 416,
    "R=bytes=0-0,5-6": 200,
    "R=bytes=0-0,200-": "bytes 0-0/100",
    "R=bytes=200-,300-": 416,
    "R=lines=0-9": 200,
    "R=bytes=": 200,
    # If-Range.
    "R=bytes=0-9 IR=E": "bytes 0-9/100",
    "R=bytes=0-9 IR=M": "bytes 0-9/100",
    "R=bytes=0-9 IR=x": 200,
    "R=bytes=0-9 IR=W/E": 200,
    "R=bytes=0-9 IR=bare": 200,
    "R=bytes=0-9 IR=-": 200,
    "R=bytes=0-9 IR=+": 200,
    "R=bytes=200- IR=E": 416,
    "R=bytes=200- IR=x": 200,
    "IR=x": 200,
    # Ranges come after conditions.
    "R=bytes=0-9 IM=E": "bytes 0-9/100",
    "R=bytes=0-9 IM=x": 412,
    "R=bytes=200- IM=x": 412,
    "R=bytes=200- INM=E": 304,
    "R=bytes=0-9 INM=E": 304,
    "R=bytes=0-9 INM=x": "bytes 0-9/100",
    "R=bytes=0-9 IMS=M": 304,
    "R=bytes=200- IUS=-": 412,
    "R=bytes=0-9 IUS=+ IR=E": "bytes 0-9/100",
    "R=bytes=0-9 INM=x IMS=+ IR=M": "bytes 0-9/100",
    "R=bytes=0-9 INM=E IMS=- IR=E": 304,
}


def spelt(case: str, etag: str, modified: int) -> dict[str, str]:
    """Return the headers of a case."""
    words = {"E": etag, "W/E": f"W/{etag}", "x,E": f'"x", {etag}', "bare": etag.strip('"')}
    words |= {"M": formatdate(modified, usegmt=True), "-": formatdate(modified - 60, usegmt=True)}
    words |= {"+": formatdate(modified + 60, usegmt=True)}
    headers = {}
    for pair in case.split():
        name, _, value = pair.partition("=")
        other = "yesterday" if name in {"IUS", "IMS"} else '"x"'
        headers[SHORT[name]] = other if value == "x" else words.get(value, value)
    return headers


@pytest.mark.parametrize("case", TABLE)
def test_conditions_are_evaluated_as_the_rfc_says(case: str) -> None:
    version = Version(1_790_000_000, len(CONTENT))
    headers = Headers(spelt(case, version.etag, version.modified))
    status, span = conditions.judge(headers, version, with_ranges=True)
    expected = TABLE[case]
    if isinstance(expected, str):
        assert span is not None
        assert (status, f"bytes {span[0]}-{span[1] - 1}/100") == (206, expected)
    else:
        assert (status, span) == (expected, None)
    assert conditions.judge(headers, version, with_ranges=False)[0] == (
        expected if expected in {304, 412} else 200
    )  # HEAD


def test_an_empty_file_has_no_ranges() -> None:
    version = Version(1_790_000_000, 0)
    for asked in ("bytes=-5", "bytes=0-", "bytes=0-0"):
        assert conditions.judge(Headers({"Range": asked}), version, with_ranges=True) == (200, None)


@pytest.mark.parametrize(
    "date", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_dates_come_in_three_forms(date: str) -> None:
    for shift, status in ((0, 304), (1, 200)):
        version = Version(784_111_777 + shift, 1)
        assert conditions.judge(Headers({"If-Modified-Since": date}), version, with_ranges=True)[0] == status


@pytest.mark.one_host  # the service itself decides about objects
def test_both_profiles_answer_as_the_rfc_says(service: Service) -> None:
    key = requests.post(f"{service.url}/v1/streams", data=CONTENT, timeout=60).json()["id"]
    digest = requests.post(f"{service.url}/", data=CONTENT, timeout=60).text
    for url in (f"{service.url}/v1/streams/{key}", f"{service.url}/?file_hash={digest}"):
        seen = requests.get(url, timeout=60)
        etag = seen.headers["ETag"]
        modified = int(parsedate_to_datetime(seen.headers["Last-Modified"]).timestamp())
        assert etag == Version(modified, len(CONTENT)).etag
        for case, expected in TABLE.items():
            headers = spelt(case, etag, modified)
            for method in ("GET", "GET", "HEAD"):  # what was asked for twice may come from a cache
                answer = requests.request(method, url, headers=headers, timeout=60)
                _meets(answer, method, expected, case)


def _meets(answer: requests.Response, method: str, expected: int | str, case: str) -> None:
    if method == "HEAD" and expected not in {304, 412}:
        expected = 200
    if isinstance(expected, int):
        assert answer.status_code == expected, (method, case)
        assert method == "HEAD" or expected != 200 or answer.content == CONTENT
        return
    assert (answer.status_code, answer.headers.get("Content-Range")) == (206, expected), (method, case)
    first, last = expected.removeprefix("bytes ").partition("/")[0].split("-")
    assert answer.content == CONTENT[int(first) : int(last) + 1]


def test_a_one_time_file_is_not_used_up_by_a_condition_that_fails(service: Service) -> None:
    link = requests.put(service.vimeo, files={"file": ("a.txt", CONTENT)}, timeout=60).json()["url"]
    head = requests.head(link, timeout=60)
    modified = int(parsedate_to_datetime(head.headers["Last-Modified"]).timestamp())
    for case in ("IUS=-", "INM=E IMS=-", "IM=x", "INM=E", "R=bytes=100-", "R=bytes=0-9 INM=E IMS=- IR=E"):
        answer = unlocked(link, headers=spelt(case, head.headers["ETag"], modified))
        assert answer.status_code == TABLE[case], case
    assert unlocked(link).content == CONTENT


VALIDATORS = {"etag", "cache-control", "content-security-policy", "x-content-type-options", "x-request-id"}
OF_FILES = VALIDATORS | {"accept-ranges", "content-type", "last-modified", "content-length"}
OF_ERRORS = {"content-type", "content-length", "x-content-type-options", "x-request-id"}
# The headers of each response, whatever the dialect. After a 416, nginx also keeps those of the file.
HEADERS: dict[str, tuple[str, dict[str, str], int, set[str]]] = {
    "GET": ("GET", {}, 200, OF_FILES),
    "HEAD": ("HEAD", {}, 200, OF_FILES),
    "HEAD of a range": ("HEAD", {"Range": "bytes=1-2"}, 200, OF_FILES),
    "GET of a range": ("GET", {"Range": "bytes=1-2"}, 206, OF_FILES | {"content-range"}),
    "304": ("GET", {"If-None-Match": "*"}, 304, VALIDATORS),
    "412": ("GET", {"If-Match": '"x"'}, 412, OF_ERRORS),
    "416": ("GET", {"Range": "bytes=500-"}, 416, OF_ERRORS | {"content-range"}),
}
SOME = {"date", "server", "connection", "content-disposition", "repr-digest", "x-download-grant", "last-modified"}


@pytest.mark.one_host  # the service itself words what it decides about objects
def test_both_profiles_send_the_same_headers(service: Service) -> None:
    key = requests.post(f"{service.url}/v1/streams", data=CONTENT, timeout=60).json()["id"]
    digest = requests.post(f"{service.url}/", data=CONTENT, timeout=60).text
    file = {"file": ("a.bin", CONTENT)}
    file_id = requests.post(f"{service.url}/uploadFile", files=file, timeout=60).json()["file_id"]
    requests.post(f"{service.url}/upload/{key}.pdf", data=CONTENT, timeout=60).raise_for_status()
    paths = [f"/v1/streams/{key}", f"/?file_hash={digest}", f"/download/{key}.pdf", f"/downloadFile?file_id={file_id}"]
    once = [requests.put(service.vimeo, files=file, timeout=60).json()["url"] for _ in HEADERS]
    for case, (method, asked, status, expected) in HEADERS.items():
        for url in [*[f"{service.url}{path}" for path in paths], once.pop()]:
            answer = requests.request(method, url, headers=asked, timeout=60)
            found = {name.lower() for name in answer.headers}
            assert (answer.status_code, expected - found) == (status, set()), (case, url)
            assert status == 416 or found - expected <= SOME, (case, url)
            assert answer.headers.get("Accept-Ranges") in {None, "bytes"}
            assert not any(letter.isdigit() for letter in answer.headers.get("Server", "nginx").partition("nginx")[2])
