"""File names that do no harm."""

import pytest

from vimeo_api.core.identifiers import random_hex, safe_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.xls", "report.xls"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("a\r\nSet-Cookie: x\x00\x1b", "aSet-Cookie: x"),
        ("\u202exls.exe\ufeff", "xls.exe"),
        ("e\u0301", "é"),
        ("", "file"),
        ("...", "..."),
        (".bashrc", ".bashrc"),
        ("a." + "x" * 300, "a." + "x" * 253),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("я" * 200 + ".txt", "я" * 125 + ".txt"),
    ],
)
def test_it_keeps_what_is_harmless(sent: str, kept: str) -> None:
    name = safe_name(sent)
    assert len(name.encode()) <= 255
    assert name == kept


def test_random_hex_is_128_bits_and_never_the_same() -> None:
    seen = {random_hex() for _ in range(1000)}
    assert len(seen) == 1000
    assert {len(value) for value in seen} == {32}
