"""Parsers of untrusted text, with hypothesis's examples: each text is accepted whole or refused."""

import io
import re
from contextlib import suppress
from http.client import parse_headers
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vimeo_api.core.access import sealed_ids
from vimeo_api.core.deliveries.lines import Sent, Ticket
from vimeo_api.core.errors import Malformed
from vimeo_api.core.fetching import headers, ssrf
from vimeo_api.core.fetching.plan import Plan, Span, missing
from vimeo_api.core.fetching.ssrf import OriginFailed, UrlRefused
from vimeo_api.core.files import file_names
from vimeo_api.embedded import framing
from vimeo_api.embedded.framing import Chunked
from vimeo_api.web.receiving import multipart_forms
from vimeo_api.web.receiving.body_sources import Streamed
from vimeo_api.web.sending import delivery

LEASE_TOKEN = "0123456789abcdef" * 2
LINE = {"ticket": f"7:{LEASE_TOKEN}:1", "method": "GET", "status": "200", "sent": "3", "range": "", "completion": "OK"}
RANGE = "bytes 1-3/9"

# An app that lives through all examples of a test.
lenient = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
names = st.text(max_size=40) | st.text(alphabet="a\"\\%;'\r\n\0 ./é\u202e嘊", max_size=20)


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**9 - 1))
def test_a_ticket_survives_writing_and_parsing(file_id: int, answer: int) -> None:
    ticket = Ticket(file_id, LEASE_TOKEN, answer)
    assert Ticket.parse(str(ticket)) == ticket


@given(st.text() | st.from_regex(r"\d{1,20}:[0-9a-fA-F]{30,34}:\d{1,12}\s*"))
@example(f"٣:{LEASE_TOKEN}:1")
@example(f"1:{LEASE_TOKEN}:\N{FULLWIDTH DIGIT ONE}")
@example(f"1:{LEASE_TOKEN}:1\n")
@example(f"01:{LEASE_TOKEN}:1")
def test_other_text_is_not_parsed_as_a_ticket(text: str) -> None:
    ticket = Ticket.parse(text)
    assert ticket is None or str(ticket) == text


def line(**changed: Any) -> dict[str, Any]:
    return {**LINE, **changed}


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=2)
)


@given(st.sampled_from(["ticket", "method", "status", "sent"]), junk)
@example("sent", float("inf"))
@example("sent", float("nan"))
@example("sent", "٣")
@example("sent", "3_0")
@example("sent", "-3")
@example("sent", "9" * 5000)
@example("status", "\N{FULLWIDTH DIGIT TWO}00")
@example("status", 200)
def test_an_invalid_field_makes_a_journal_line_invalid(field: str, value: Any) -> None:
    try:
        sent = Sent.from_journal(line(**{field: value}))
    except (KeyError, ValueError):
        return
    if sent is not None and sent.span is not None:
        assert isinstance(value, str)
        assert value.isascii()
        assert sent.span == (0, int(value) if field == "sent" else 3)


@given(st.text(alphabet="bytes 0123456789-/*,٣", max_size=25) | st.just(RANGE))
def test_only_a_range_that_was_sent_counts(text: str) -> None:
    sent = Sent.from_journal(line(status="206", range=text))
    assert sent is not None
    match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/[0-9]+", text)
    expected = (int(match[1]), int(match[2]) + 1) if match and int(match[2]) - int(match[1]) == 2 else None
    assert sent.span == expected


@lenient
@given(number=st.integers(0, 2**64 - 1).map(str), name=names.filter(lambda name: name.isprintable()))
def test_a_sealed_id_has_only_one_valid_spelling(app: Flask, number: str, name: str) -> None:
    with app.app_context():
        sealed = sealed_ids.seal(number, name)
        assert sealed_ids.open_sealed(sealed) == (number, name)
        for at in {0, len(number) + 1, len(sealed) // 2, *range(len(sealed.rstrip("=")) - 2, len(sealed))}:
            for other in "AQgwBb=-0:\n":
                changed = sealed[:at] + other + sealed[at + 1 :]
                assert changed == sealed or sealed_ids.open_sealed(changed) is None
        for changed in (f"{sealed}=", f"{sealed}==", sealed.rstrip("=") + "===", f"0{sealed}", f" {sealed}"):
            assert sealed_ids.open_sealed(changed) is None


@lenient
@given(text=st.text() | st.from_regex(r"[0-9]{1,21}:[A-Za-z0-9_-]*={0,2}"))
def test_arbitrary_text_is_not_a_sealed_id(app: Flask, text: str) -> None:
    with app.app_context():
        assert sealed_ids.open_sealed(text) is None


@given(names)
def test_content_disposition_has_the_name_quoted_and_encoded(name: str) -> None:
    safe = file_names.safe(name)
    header = delivery.content_disposition(safe)
    match = re.fullmatch(
        r"attachment; filename=\"([ !#-\[\]-~]*)\"(?:; filename\*=UTF-8''([\w.~%-]+))?", header, re.ASCII
    )
    assert match, header
    assert (unquote(match[2]) if match[2] else match[1]) == safe
    assert len(safe.encode()) <= file_names.MAX_BYTES
    assert "/" not in safe
    assert safe not in {"", ".", ".."}
    assert file_names.safe(safe) == safe


@given(names)
def test_our_fetcher_reads_the_name_that_we_send(name: str) -> None:
    safe = file_names.safe(name)
    assert headers.name({"Content-Disposition": delivery.content_disposition(safe)}, "http://a/b") == safe


@given(
    st.text(alphabet=st.characters(max_codepoint=255))
    | st.from_regex(r"(attachment)?(; *filename\*?=\"?[\w%\\'\"-]*)*")
)
@example("attachment; filename*=utf-8''%ff%00%0d%0a..%2f..%2fx")
@example("attachment; filename*=zlib''x; filename=\"../../x\"")
def test_any_disposition_of_an_origin_gives_a_harmless_name(text: str) -> None:
    name = headers.name({"Content-Disposition": text}, "http://a/b")
    assert file_names.safe(name) == name


@given(st.text(alphabet="0123456789-/* bytes,٣+_", max_size=30), st.text(alphabet="0123456789, +_x٣", max_size=12))
def test_a_range_of_an_origin_agrees_with_itself_or_is_refused(text: str, length: str) -> None:
    try:
        piece = headers.piece({"Content-Range": text, "Content-Length": length})
    except OriginFailed:
        return
    assert 0 <= piece.start < piece.end <= (piece.size or piece.end)


@given(st.text() | st.builds("http://a.example/{}".format, st.text()) | st.builds("http://{}/".format, st.text()))
@example("http://a.example/\ud800")
@example("http://a.example/\0")
@example("http://a.example/\r\nHost: b")
@example("http://a.example\\@b.example/")
@example("http://[::1%25eth0]/")
@example("http://a.example:" + "9" * 5000)
def test_a_url_is_one_that_can_be_sent_and_kept_or_is_refused(text: str) -> None:
    try:
        target = ssrf.check_url(text, allow_private=True)
    except UrlRefused:
        return
    text.encode()
    assert "\0" not in text
    assert target.url.isascii()
    assert re.fullmatch(r"/[!-~]*", target.path)
    assert 0 < target.port < 65536


spans = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)).filter(lambda s: s[0] < s[1]), max_size=8)


@given(st.integers(0, 300), spans)
def test_missing_and_present_spans_make_the_whole_file(size: int, present: list[tuple[int, int]]) -> None:
    there = {at for start, end in present for at in range(start, min(end, size))}
    gaps = [at for start, end in missing(size, present) for at in range(start, end)]
    assert gaps == sorted(set(range(size)) - there)


@given(st.data(), st.integers(1, 10**6), st.integers(1, 8))
def test_every_byte_is_claimed_once(data: st.DataObject, size: int, parts: int) -> None:
    plan, claimed = Plan(size, parts=parts), []
    taken: list[Span] = []
    while not plan.complete:
        if (not taken or data.draw(st.booleans())) and (span := plan.take()) is not None:
            taken.append(span)
        span = data.draw(st.sampled_from(taken))
        offset, length = plan.claim(span, data.draw(st.integers(size // 9 + 1, 10**6)))
        claimed.append((offset, offset + length))
        plan.wrote(length)
        if not span.left and len(taken) > 1:
            taken.remove(span)
    assert missing(size, claimed) == []
    assert sum(end - start for start, end in claimed) == size


def chunked(pieces: list[bytes], size: str) -> bytes:
    return b"".join(format(len(p), size).encode() + b"\r\n" + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"


@given(
    st.lists(st.binary(min_size=1, max_size=50)),
    st.sampled_from(["x", "X", "05x"]),
    st.binary(max_size=9),
    st.integers(1, 60),
)
def test_chunks_give_the_body_and_leave_what_follows(pieces: list[bytes], size: str, rest: bytes, step: int) -> None:
    source = io.BytesIO(chunked(pieces, size) + rest)
    body, read = Chunked(source), b""
    while data := body.read(step):
        read += data
    assert read == b"".join(pieces)
    assert source.read() == rest


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1), st.data())
def test_truncated_chunks_are_refused(pieces: list[bytes], data: st.DataObject) -> None:
    whole = chunked(pieces, "x")
    cut = data.draw(st.integers(0, len(whole) - 3))
    with pytest.raises(OSError, match=r"chunk|trailers"):
        Chunked(io.BytesIO(whole[:cut])).readall()


def test_a_broken_chunked_body_stays_broken() -> None:
    body = Chunked(io.BytesIO(b"+3\r\nabc\r\n" + bytes(0xABC) + b"\r\n0\r\n\r\n"))  # its second line could be a size
    for _ in range(3):
        with pytest.raises(OSError, match=r"size|broken"):
            body.read(10)


@pytest.mark.parametrize(
    "fields", [b" X: a\r\nHost: h", b"Host: h\r\n: a", b"Host: h\r\nX : a", b"Host: h\r\nX: a\r\n b"]
)
def test_malformed_fields_are_refused(fields: bytes) -> None:
    assert framing.refusal("GET", "HTTP/1.1", "/", parse_headers(io.BytesIO(fields + b"\r\n\r\n"))) == 400


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "Content-Disposition: form-data",
                    "; name=a",
                    "; filename=b",
                    '; filename="',
                    "; filename*=",
                    "utf-8''",
                ),
                *(
                    "zlib''",
                    "\\",
                    '"',
                    "\r\n",
                    "\r\n ",
                    "Content-Length: ",
                    "Content-Type: a/b",
                    "; charset=",
                    "idna",
                    ":",
                ),
            ]
        )
        | st.text(max_size=5),
        max_size=20,
    ).map("".join)
)
@example("Content-Disposition: form-data; name=a\r\nContent-Length: ٣")
@example("Content-Disposition: form-data; name=a\r\nContent-Length: 1_0")
@example("Content-Disposition: form-data; name=a\r\nContent-Length: " + "9" * 5000)
def test_the_headers_of_a_part_are_understood_or_refused(text: str) -> None:
    body = b"--b\r\n" + text.encode("utf-8", "surrogatepass") + b"\r\n\r\nabc\r\n--b--\r\n"
    with suppress(Malformed):
        list(multipart_forms.events(Streamed(io.BytesIO(body).read), "b"))
