"""Multipart bodies: the same form, or the same refusal, however the body arrives and is cut into pieces.

The reference is the library `multipart`, which gets the whole body at once and knows nothing of our pieces.
"""

import os
import random
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from vimeo_api import config
from vimeo_api.app import create_app
from vimeo_api.core.errors import Malformed, TooLarge
from vimeo_api.core.storage.blobs import Staging
from vimeo_api.web.receiving import multipart_forms, receive
from vimeo_api.web.receiving.body_sources import Piece, Source, Spooled, Streamed
from vimeo_api.web.receiving.receive import Form, FormFile

Parts = list[tuple[str, str | None, bytes]] | None  # name, file name and content of each; None is a refusal

B = "b-b"
FILE = b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n'
FIELD = b'Content-Disposition: form-data; name="note"\r\n'


def body_of(*parts: bytes, end: bytes = b"\r\n--b-b--\r\n") -> bytes:
    return b"\r\n".join(b"--b-b\r\n" + part for part in parts) + end


class Dribble:
    """A body that comes in pieces of the given sizes, over and over."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._body = body
        self._sizes = sizes
        self._turn = self._position = 0

    def read(self, size: int = -1) -> bytes:
        wanted = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        data = self._body[self._position :][: wanted if size < 0 else min(size, wanted)]
        self._position += len(data)
        return data


@contextmanager
def spooled(body: bytes, *, window: int = 1) -> Iterator[Source]:
    with tempfile.TemporaryFile() as file:
        file.write(body)
        file.flush()
        yield Spooled(Staging(Path(), file.fileno(), owned=False), window=window)


def parts_of(source: Source) -> Parts:
    try:
        return collected(multipart_forms.events(source, B))
    except Malformed:
        return None


def measure(body: bytes) -> Parts:
    """Return what the library makes of the body."""
    try:
        with PushMultipartParser(B, header_charset="latin-1") as parser:
            return collected(parser.parse(body))
    except MultipartError:
        return None


def collected(events: Iterable[MultipartSegment | Piece | bytearray | None]) -> Parts:
    parts: list[tuple[str, str | None, bytes]] = []
    for event in events:
        if isinstance(event, MultipartSegment):
            parts.append((event.name, event.filename, b""))
        elif event is not None:
            name, filename, content = parts[-1]
            parts[-1] = (name, filename, content + bytes(event))
    return parts


TOKENS = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"-", b"--", b"b", b"b-b", b"--b-b", b"--b-b--", b" ", b"\t", b"\0", b"\xff"),
    *(b"\r\n--b-b", b"\r\n--b-b\r\n", b"\r\n--b-b--", b"\r\n--b-", b"\n--b-b\n", b"\r\n--b-b \r\n", b"\r\n--b-bb\r\n"),
    *(FILE, FIELD, FILE + b"\r\n", FIELD + b"\r\n", b"Content-Length: 3\r\n", b"Content-Type: text/plain\r\n", b": "),
    b"Content-Disposition: form-data;\r\n name=a;\r\n\tfilename*=utf-8''%D0%B4.txt\r\n",
    b"Content-Disposition: attachment; filename=x\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nnested\r\n--b--",
]
soup = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=25).map(b"".join)
near = st.sampled_from([token for token in TOKENS if b"\r\n--b-b" not in token])  # to a delimiter, but none
content = st.lists(near | st.binary(max_size=200), max_size=6).map(b"".join)


def part_of(first: bytes, more: bytes, what: bytes, off_by: int) -> bytes:
    return first + more.replace(b"N", str(len(what) + off_by).encode()) + b"\r\n" + what


headers = st.sampled_from([b"", b"", b"Content-Type: a/b\r\n", b"Content-Length: N\r\n", b"x: \xc3\xa9\r\n"])
part = st.builds(part_of, st.sampled_from([FILE, FIELD]), headers, content, st.sampled_from([0, 0, 0, 0, 1, -1]))
whole = st.builds(
    lambda before, parts, after: before + body_of(*parts, end=after),
    st.sampled_from([b""] * 5 + [b"\r\n", b"preamble\r\n", b"preamble"]),
    st.lists(part, min_size=1, max_size=4),
    st.sampled_from([b"\r\n--b-b--\r\n"] * 5 + [b"\r\n--b-b--epilogue", b"\r\n--b-b-", b"\r\n--b-b", b""]),
)
broken = st.builds(
    lambda body, at, cut, token: body[: at % (len(body) + 1)] + token + body[at % (len(body) + 1) + cut :],
    *(whole, st.integers(0, 2000), st.integers(0, 5), st.sampled_from([b"", *TOKENS])),
)
bodies = whole | whole | broken | soup
sizes = st.lists(st.integers(1, 90), min_size=1, max_size=6)


@given(bodies, sizes, st.integers(1, 200))
@example(b"--b-b--", [1], 1)
@example(body_of(FILE + b"\r\n"), [3], 1)
@example(body_of(FILE + b"\r\n\r\n--b-", FIELD + b"\r\n\r"), [2], 9)
@example(body_of(FILE + b"Content-Length: 3\r\n\r\nabcd"), [1], 1)
@example(body_of(FILE + b"Content-Length: 3\r\n\r\nab"), [50], 1)
@example(b"preamble" + body_of(FILE + b"\r\nabc"), [8], 1)
@example(body_of(FILE + b"\r\nabc").replace(b"\r\n", b"\n"), [5], 7)
@example(body_of(b"Content-Disposition: form-data; name=a\n\r\n\r\nabc"), [39], 40)
@settings(max_examples=1000, deadline=None)
def test_it_finds_the_same_parts_however_the_body_comes(body: bytes, sizes: list[int], window: int) -> None:
    expected = measure(body)
    assert parts_of(Streamed(Dribble(body, sizes).read)) == expected
    with spooled(body, window=window) as source:
        assert parts_of(source) == expected


def test_most_of_the_generated_bodies_are_valid_forms() -> None:
    # Otherwise the test above compared refusals.
    verdicts = []

    @given(bodies)
    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    def count(body: bytes) -> None:
        verdicts.append(bool(measure(body)))

    count()
    assert sum(verdicts) > len(verdicts) / 4


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flask]:
    """Both profiles, the second without its services, for nobody here asks them anything."""
    made = {}
    for profile in ("embedded", "production"):
        data = str(tmp_path_factory.mktemp(profile))
        made[profile] = create_app(config.load({"DATA_DIR": data}))
        made[profile].config["SETTINGS"] = config.load({"DATA_DIR": data, "PROFILE": profile})
    return made


Files = list[tuple[str, str, bytes]]  # field, name and content of each
Received = tuple[Files, dict[str, str]] | type[Exception]


def received(
    app: Flask, body: bytes, sizes: list[int], *, max_bytes: int | None = None, fields: frozenset[str] = frozenset()
) -> Received:
    """Return what `receive` makes of the body, or its refusal, and see that it leaves nothing in the spool."""
    spooled = app.config["SETTINGS"].spool_dir / "0000000001"
    environ: dict[str, object] = {"CONTENT_TYPE": f"multipart/form-data; boundary={B}"}
    if not app.config["SETTINGS"].behind_nginx:
        environ |= {"wsgi.input": Dribble(body, sizes), "CONTENT_LENGTH": str(len(body))}
    elif body:
        spooled.write_bytes(body)
        environ["X_BODY_FILE"] = str(spooled)
    with app.test_request_context("/", method="POST", environ_overrides=environ):
        try:
            with receive.form(max_bytes, fields=fields) as form:
                files = [(file.field, file.name, file.staging.path.read_bytes()) for file in form.files]
                return files, form.fields
        except (Malformed, TooLarge) as error:
            return type(error)
        finally:
            spooled.unlink(missing_ok=True)  # by nginx, once the request is over
            assert list(spooled.parent.iterdir()) == []


@given(bodies, sizes, st.sampled_from([None, 2, 50]), st.sampled_from([frozenset[str](), frozenset({"file"})]))
@example(body_of(FILE + b"Content-Length: 9\r\n\r\nabcdefghijkl"), [1], 2, frozenset())
@example(body_of(FILE + b"\r\nabc", FILE.replace(b"a.txt", b"b.txt") + b"\r\ndef"), [4], None, frozenset())
@example(body_of(FILE + b"\r\nabc", FILE.replace(b'"file"', b'"x"') + b"\r\ndef"), [4], None, frozenset({"file"}))
@example(body_of(FIELD + b"\r\nsesame", FILE + b"\r\nabc", end=b"\r\n--b-"), [4], 2, frozenset())
@settings(max_examples=600, deadline=None)
def test_both_profiles_receive_the_same(
    apps: dict[str, Flask], body: bytes, sizes: list[int], max_bytes: int | None, fields: frozenset[str]
) -> None:
    outcomes = [received(app, body, sizes, max_bytes=max_bytes, fields=fields) for app in apps.values()]
    assert outcomes[0] == outcomes[1]


def part_named(name: str, disposition: bytes, content: bytes = b"abc") -> bytes:
    return b'Content-Disposition: form-data; name="' + name.encode() + b'"; ' + disposition + b"\r\n\r\n" + content


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_it_takes_all_files_and_fields_in_their_order(apps: dict[str, Flask], profile: str) -> None:
    file = random.Random(1).randbytes(3 * 1024**2 + 17)
    other = part_named("other", b'filename="o.txt"', b"first")
    last = part_named("other", b'filename="l.txt"', b"")
    body = body_of(other, FIELD + b"\r\nsesame", FILE + b"\r\n" + file, last)
    files = [("other", "o.txt", b"first"), ("file", "a.txt", file), ("other", "l.txt", b"")]
    assert received(apps[profile], body, [65536]) == (files, {"note": "sesame"})


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_a_field_keeps_its_value_whatever_file_name_a_browser_gives_it(apps: dict[str, Flask], profile: str) -> None:
    body = body_of(part_named("password", b'filename="blob"\r\nContent-Type: text/plain', b"sesame"), FILE + b"\r\nabc")
    expected = ([("file", "a.txt", b"abc")], {"password": "sesame"})
    assert received(apps[profile], body, [7], fields=frozenset({"password"})) == expected


def test_a_field_has_one_value_and_an_unknown_one_may_come_twice(apps: dict[str, Flask]) -> None:
    twice = body_of(FIELD + b"\r\nsesame", FIELD + b"\r\nopen", FILE + b"\r\nabc")
    assert received(apps["embedded"], twice, [7], fields=frozenset({"note"})) is Malformed
    files, _ = received(apps["embedded"], twice, [7])  # type: ignore[misc]
    assert files == [("file", "a.txt", b"abc")]


@pytest.mark.parametrize("profile", ["embedded", "production"])
@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (
            b"filename=\"=?utf-8?B?0L7RgtGH0ZHRgi50eHQ=?=\"; filename*=utf-8''%D0%BE%D1%82%D1%87%D1%91%D1%82.txt",
            "отчёт.txt",
        ),
        (b"filename*=utf-8''%D0%B4.txt; filename=\"x.txt\"", "д.txt"),
        (b"filename*=UTF-8'en'%D0%B4.txt", "д.txt"),
        (b"filename*=iso-8859-1''%E4.txt", "ä.txt"),
        (b"filename*=utf-8''%E4.txt; filename=\"x.txt\"", "x.txt"),
        (b"filename*=klingon''a; filename=\"x.txt\"", "x.txt"),
        (b'filename="=?utf-8?B?0L7RgtGH0ZHRgi50eHQ=?="', "отчёт.txt"),
        (b'filename="=?UTF-8?Q?=D0=B4_a?= =?iso-8859-1?q?=E4?=.txt"', "д aä.txt"),
        (b'filename="=?klingon?Q?a?=.txt"', "=?klingon?Q?a?=.txt"),
        (b'filename="=?utf-8?B?_?=.txt"', "=?utf-8?B?_?=.txt"),
        ('filename="отчёт.txt"'.encode(), "отчёт.txt"),
        ('filename="à.txt"; x=à'.encode(), "à.txt"),
        ('filename="Größe.txt"'.encode("latin-1"), "Größe.txt"),
        ('filename="報告.txt"'.encode("gbk"), "\u02c6ó\u00b8æ.txt"),
        (b'filename="a%22b.txt"', 'a"b.txt'),
        (b'FILENAME="a.txt"', "a.txt"),
    ],
)
def test_it_reads_names_as_clients_of_every_age_write_them(
    apps: dict[str, Flask], profile: str, disposition: bytes, name: str
) -> None:
    assert received(apps[profile], body_of(part_named("file", disposition)), [9]) == ([("file", name, b"abc")], {})


@pytest.mark.parametrize("profile", ["embedded", "production"])
def test_a_file_that_was_not_chosen_is_none_and_one_without_a_name_is_refused(
    apps: dict[str, Flask], profile: str
) -> None:
    empty = part_named("second", b'filename=""\r\nContent-Type: application/octet-stream', b"")
    assert received(apps[profile], body_of(FILE + b"\r\nabc", empty), [9]) == ([("file", "a.txt", b"abc")], {})
    assert received(apps[profile], body_of(empty), [9]) is Malformed
    assert received(apps[profile], body_of(part_named("file", b'filename=""')), [9]) is Malformed


def test_media_types_and_parameter_names_come_in_any_case(apps: dict[str, Flask]) -> None:
    body = body_of(FILE + b"\r\nabc").replace(b"form-data; name", b"Form-Data; NAME")
    environ = {"wsgi.input": Dribble(body, [9]), "CONTENT_LENGTH": str(len(body))}
    environ["CONTENT_TYPE"] = f"Multipart/Form-Data; BOUNDARY={B}"
    with (
        apps["embedded"].test_request_context("/", method="POST", environ_overrides=environ),
        receive.form(None) as form,
    ):
        assert form.file().staging.path.read_bytes() == b"abc"


def test_a_boundary_may_be_a_little_longer_than_the_rfc_allows(apps: dict[str, Flask]) -> None:
    boundary = "b" * 80
    body = body_of(FILE + b"\r\nabc").replace(B.encode(), boundary.encode())
    environ = {"wsgi.input": Dribble(body, [9]), "CONTENT_LENGTH": str(len(body))}
    environ["CONTENT_TYPE"] = f"multipart/form-data; boundary={boundary}"
    with (
        apps["embedded"].test_request_context("/", method="POST", environ_overrides=environ),
        receive.form(None) as form,
    ):
        assert form.file().staging.path.read_bytes() == b"abc"


def test_the_preferred_file_is_taken_or_the_only_one() -> None:
    one, two, other = (FormFile(field, "a.txt", Staging(Path(), 0, owned=False)) for field in ("file", "file", "x"))
    assert Form([other], {}).file("file") is other
    assert Form([other, one], {}).file("file") is one
    for files in ([one, two], [other, one, two], [other, other]):
        with pytest.raises(Malformed, match=r"^The form has \d files where one is expected\.$"):
            Form(files, {}).file("file")
    with pytest.raises(Malformed):
        Form([other, one], {}).file()


@pytest.mark.parametrize("profile", ["embedded", "production"])
@pytest.mark.parametrize("length", [0, 1, 2, 255, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 600_000])
def test_a_file_of_any_length_comes_out_as_it_went_in(apps: dict[str, Flask], profile: str, length: int) -> None:
    file = random.Random(length).randbytes(length)
    got = received(apps[profile], body_of(FILE + b"\r\n" + file), [65536], max_bytes=length)
    assert got == ([("file", "a.txt", file)], {})
    if length:
        over = received(apps[profile], body_of(FILE + b"\r\n" + file), [65536], max_bytes=length - 1)
        assert over is TooLarge


@pytest.mark.parametrize("missing", range(-12, 1))
def test_a_delimiter_across_two_windows_is_found(missing: int) -> None:
    window = 64 * 1024
    start = len(b"--b-b\r\n" + FILE + b"\r\n")
    file = b"x" * (window + missing)  # the search begins where the content does
    body = body_of(FILE + b"\r\n" + file)
    with spooled(body, window=window) as source:
        assert parts_of(source) == [("file", "a.txt", file)]
    assert parts_of(Streamed(Dribble(body, [start + window]).read)) == [("file", "a.txt", file)]


@pytest.mark.parametrize(
    "body",
    [
        b"x" * (multipart_forms.MAX_HEAD_BYTES + 1) + b"\r\n" + body_of(FILE + b"\r\nabc"),
        body_of(FILE + b"x: " + b"y" * multipart_forms.MAX_HEAD_BYTES + b"\r\n\r\nabc"),
        body_of(*[FIELD + b"\r\nx"] * (multipart_forms.MAX_PARTS + 1)),
    ],
    ids=["preamble", "headers", "parts"],
)
def test_a_form_beyond_a_limit_is_refused(body: bytes) -> None:
    assert parts_of(Streamed(Dribble(body, [65536]).read)) is None
    with spooled(body, window=65536) as source:
        assert parts_of(source) is None


def test_a_body_announced_longer_than_it_is_counts_for_nothing(apps: dict[str, Flask]) -> None:
    app = apps["embedded"]
    body = body_of(FILE + b"\r\nabc")
    environ = {"wsgi.input": Dribble(body, [9]), "CONTENT_TYPE": f"multipart/form-data; boundary={B}"}
    environ["CONTENT_LENGTH"] = str(len(body) + 1)
    with (
        app.test_request_context("/", method="POST", environ_overrides=environ),
        pytest.raises(Malformed, match="shorter than announced"),
        receive.form(None),
    ):
        pytest.fail("taken")


def test_the_search_reads_no_more_than_a_window_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    preadv = os.preadv

    def watched(descriptor: int, buffers: list[bytearray], position: int) -> int:
        nonlocal largest
        largest = max(largest, *map(len, buffers))
        return preadv(descriptor, buffers, position)

    monkeypatch.setattr(os, "preadv", watched)
    body = body_of(FILE + b"\r\n" + bytes(8 * 1024**2))
    with spooled(body, window=64 * 1024) as source, ExitStack():
        assert len(parts_of(source) or []) == 1
    assert largest == 64 * 1024
