"""File names: harmless, distinct, and the same in every spelling and under every Python's Unicode tables."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vimeo_api.core.files.file_names import folded, safe

FAMILY = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}.png"
SCOTLAND = "\N{WAVING BLACK FLAG}\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.png"
PERSIAN = "\u0645\u06cc\N{ZERO WIDTH NON-JOINER}\u062e\u0648\u0627\u0647\u0645.txt"
NEW_EMOJI = "\U0001fae9\U0001fac6.png"  # of Unicode 16, which Python 3.11 does not know
PRIVATE = "\uf8ff.txt"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("report.xls", "report.xls"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("a\r\nSet-Cookie: x\x00\x1b", "aSet-Cookie: x"),
        ("\u202exls.exe\ufeff", "xls.exe"),
        ("a\u2028b\u2029.txt", "ab.txt"),
        ("a\u2066\u2069\u200b\xad\x85.txt", "a.txt"),
        ("a\ud800\ufffe\U0010ffff\ufdd0.txt", "a.txt"),
        ("e\u0301", "é"),
        ("e\u200d\u0301", "é"),
        ("a\u200d\u200c\U000e0067.txt", "a.txt"),
        (" \u200d \u200ca ", "a"),
        ("", "file"),
        ("...", "..."),
        (".bashrc", ".bashrc"),
        ("a." + "x" * 300, "a." + "x" * 253),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
        ("я" * 200 + ".txt", "я" * 125 + ".txt"),
        *((name, name) for name in (FAMILY, SCOTLAND, PERSIAN, NEW_EMOJI, PRIVATE)),
    ],
)
def test_it_keeps_safe_names_unchanged(sent: str, kept: str) -> None:
    name = safe(sent)
    assert len(name.encode()) <= 255
    assert name == kept


# Accents, joiners and spaces beside each other, and what ends in many bytes.
odd = st.sampled_from([*"e. \u0301\u200d\u00a0\u212a\u202e\u0345ßİ/\\", "x" * 240, "я" * 100, NEW_EMOJI, SCOTLAND])
texts = st.lists(odd | st.characters(), max_size=12).map("".join)


@given(texts)
def test_the_safe_form_of_a_safe_name_is_that_name(text: str) -> None:
    name = safe(text)
    assert safe(name) == name
    assert len(name.encode()) <= 255


settled = st.characters().filter(lambda character: unicodedata.ucd_3_2_0.category(character) not in {"Cn", "Cs"})


@given(st.text(settled | st.characters(max_codepoint=0x17F)))
def test_equivalent_unicode_spellings_are_the_same_name(text: str) -> None:
    assert safe(unicodedata.normalize("NFD", text)) == safe(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("name", "sought"),
    [
        ("Отчёт.txt", "ТЧЕ\u0308"),
        ("straße.txt", "STRASSE"),
        ("ΣΊΣΥΦΟΣ.txt", "σίσυφος"),
        ("École.txt", "éCO"),
        ("A_b.txt", "a_B"),
    ],
)
def test_a_part_of_a_name_is_found_in_any_case_and_spelling(name: str, sought: str) -> None:
    assert folded(sought) in folded(safe(name))
