"""Media types by file name."""

import re

import pytest

from vimeo_api.core.files import types_by_name

OFFICE = "application/vnd.openxmlformats-officedocument"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.xls", "application/vnd.ms-excel"),
        ("report.xlsx", f"{OFFICE}.spreadsheetml.sheet"),
        ("letter.docx", f"{OFFICE}.wordprocessingml.document"),
        ("talk.pptx", f"{OFFICE}.presentationml.presentation"),
        ("letter.rtf", "application/rtf"),
        ("letter.odt", "application/vnd.oasis.opendocument.text"),
        ("table.ods", "application/vnd.oasis.opendocument.spreadsheet"),
        ("talk.odp", "application/vnd.oasis.opendocument.presentation"),
        ("book.epub", "application/epub+zip"),
        ("notes.md", "text/markdown"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.heic", "image/heic"),
        ("a.m4a", "audio/mp4"),
        ("a.opus", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.7z", "application/x-7z-compressed"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("a.jsonl", "application/jsonl"),
        ("a.yaml", "application/yaml"),
        ("a.toml", "application/toml"),
        ("SCAN.PDF", "application/pdf"),
        ("отчёт.csv", "text/csv"),
        ("a.nothing", "application/octet-stream"),
        ("Makefile", "application/octet-stream"),
        (".txt", "application/octet-stream"),
        ("a.", "application/octet-stream"),
    ],
)
def test_a_name_suggests_its_type(name: str, expected: str) -> None:
    assert types_by_name.media_type(name) == expected


def test_each_extension_has_one_type_and_each_type_is_well_formed() -> None:
    listed = [extension for line in types_by_name.EXTENSIONS.values() for extension in line.split()]
    assert sorted(listed) == sorted(set(listed))
    assert all(extension == extension.lower() for extension in listed)
    for kind in types_by_name.EXTENSIONS:
        assert re.fullmatch(r"(application|audio|font|image|message|model|text|video)/[A-Za-z0-9.+-]+", kind)
