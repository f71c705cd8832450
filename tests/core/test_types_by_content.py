"""Media types by the first bytes of a stream, the same as Go's net/http gives."""

import pytest

from vimeo_api.core.files.types_by_content import BINARY, HEAD_BYTES, TEXT, detect

HTML = "text/html; charset=utf-8"
XML = "text/xml; charset=utf-8"
UTF_16BE = "text/plain; charset=utf-16be"
UTF_16LE = "text/plain; charset=utf-16le"
EOT = "application/vnd.ms-fontobject"
RAR = "application/x-rar-compressed"

TAGS = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
    b"<!--",
]
# Each as short as it can be.
SIGNATURES = [
    (b"<?xml", XML),
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff\x00a", UTF_16BE),
    (b"\xff\xfea\x00", UTF_16LE),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"RIFF\x24\x00\x0a\xffWEBPVP", "image/webp"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"FORM\x00\x00\x0a\xffAIFF", "audio/aiff"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"RIFF\x24\x00\x0a\xffAVI ", "video/avi"),
    (b"RIFF\x24\x00\x0a\xffWAVE", "audio/wave"),
    (b"\x00\x00\x00\x0cftypmp42", "video/mp4"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"\x0a" * 34 + b"LP", EOT),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1f\x8b\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1a\x07\x00", RAR),
    (b"Rar!\x1a\x07\x01\x00", RAR),
    (b"\x00asm", "application/wasm"),
]
NEAR_MISSES = [
    (b"<?XML", TEXT),
    (b"<? xml", TEXT),
    (b"%pdf-", TEXT),
    (b" %PDF-1.7", TEXT),
    (b"%!PS-adobe-", TEXT),
    (b"\xfe\xfe\x00a", BINARY),
    (b"\xff\xffa\x00", BINARY),
    (b"\xef\xbb\xbe\x00", BINARY),
    (b"\x00\x00\x03\x00", BINARY),
    (b"\x00\x00\x01\x01", BINARY),
    (b"\x00\x00\x02\x01", BINARY),
    (b"Bm", TEXT),
    (b"GIF88a", TEXT),
    (b"GIF87A", TEXT),
    (b"GIF89b", TEXT),
    (b"RIFF\x24\x00\x0a\xffWEBPvp", BINARY),
    (b"RIFX\x24\x00\x0a\xffWEBPVP", BINARY),
    (b"\x89PNG\n\x1a\n", BINARY),
    (b"\xff\xd8\xfe\x00", BINARY),
    (b"FORM\x00\x00\x0a\xffAIFC", BINARY),
    (b"FORM\x00\x00\x0aAIFF\x00", BINARY),
    (b"id3\x03", BINARY),
    (b"\xff\xfb\x90\x00", BINARY),  # an MPEG frame without ID3
    (b"OggS\x01", BINARY),
    (b"oggS\x00", BINARY),
    (b"MThd\x00\x00\x00\x07", BINARY),
    (b"RIFF\x24\x00\x0a\xffAVIX", BINARY),
    (b"RIFF\x24\x00\x0a\xffWAVF", BINARY),
    (b".snd\x00\x00\x00\x18", BINARY),
    (b"\x1a\x45\xdf\xa4", BINARY),
    (b"\x00" * 33 + b"LP", BINARY),
    (b"\x00" * 35 + b"LP", BINARY),
    (b"\x00" * 34 + b"lp", BINARY),
    (b"\x00\x01\x00\x01", BINARY),
    (b"OTTo\x00", BINARY),
    (b"ttcF\x00", BINARY),
    (b"wOFf\x00", BINARY),
    (b"wOF3\x00", BINARY),
    (b"\x1f\x8b\x09", BINARY),
    (b"PK\x05\x06", BINARY),  # an empty archive
    (b"Rar!\x1a\x07\x02", BINARY),
    (b"Rar!\x1a\x07\x01\x01", BINARY),
    (b"Rar \x1a\x07\x00", BINARY),  # the standard's own spelling
    (b"\x00ASM", BINARY),
]


@pytest.mark.parametrize(("head", "media_type"), SIGNATURES)
def test_it_knows_each_signature(head: bytes, media_type: str) -> None:
    assert detect(head) == media_type
    assert detect(head + b"\x00\xff and more") == media_type


@pytest.mark.parametrize(("head", "media_type"), SIGNATURES)
def test_a_partial_signature_does_not_match(head: bytes, media_type: str) -> None:
    assert detect(head[:-1]) in {TEXT, BINARY}


@pytest.mark.parametrize(("head", "media_type"), NEAR_MISSES)
def test_a_similar_signature_does_not_match(head: bytes, media_type: str) -> None:
    assert detect(head) == media_type


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("end", [b" ", b">"])
def test_it_knows_html_by_a_first_tag_that_ends(tag: bytes, end: bytes) -> None:
    assert detect(tag + end) == HTML
    assert detect(tag.lower() + end + b"\x00") == HTML
    assert detect(b"\t\n\x0c\r " + tag.title() + end) == HTML


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("end", [b"", b"\n", b"\t", b"/>", b"x>", b"<"])
def test_an_unterminated_tag_is_text(tag: bytes, end: bytes) -> None:
    assert detect(tag + end) == TEXT


@pytest.mark.parametrize("tag", TAGS)
def test_html_is_recognized_only_by_a_correct_first_tag(tag: bytes) -> None:
    assert detect(b"x" + tag + b">") == TEXT
    assert detect(b"\x0b" + tag + b">") == BINARY  # a vertical tab is no whitespace here
    assert detect(b"\xc2\xa0" + tag + b">") == TEXT
    assert detect(b"< " + tag[1:] + b">") == TEXT
    assert detect(b"\xef\xbb\xbf" + tag + b">") == TEXT
    assert detect(tag[:-1] + b"\x7f>") == TEXT


@pytest.mark.parametrize("head", [b"<h2>", b"<span>", b"<link >", b"<!doctype  html>", b"<!DOCTYPE svg>", b"<!- ->"])
def test_it_knows_no_other_tags(head: bytes) -> None:
    assert detect(head) == TEXT


def test_xml_may_follow_whitespace_and_needs_no_end() -> None:
    assert detect(b"\r\n\t \x0c<?xmlish\x00") == XML
    assert detect(b"\x0b<?xml") == BINARY


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\xfe\xff", TEXT),
        (b"\xfe\xff\x00", BINARY),
        (b"\xfe\xff\x00\x00", UTF_16BE),
        (b"\xff\xfe", TEXT),
        (b"\xff\xfe\x00", BINARY),
        (b"\xff\xfe\x00\x00", UTF_16LE),
        (b"\xef\xbb\xbf", TEXT),
        (b"\xef\xbb\xbf\x00", TEXT),  # the mark outweighs what follows
        (b" \xfe\xff\x00a", BINARY),
    ],
)
def test_a_byte_order_mark_counts_in_the_first_of_four_bytes(head: bytes, media_type: str) -> None:
    assert detect(head) == media_type


def ftyp(brands: bytes, *, size: int | None = None) -> bytes:
    return (8 + len(brands) if size is None else size).to_bytes(4, "big") + b"ftyp" + brands


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (ftyp(b"mp42\x00\x00\x00\x00mp42isom") + b"<\x06t\xbfmdat", "video/mp4"),
        (ftyp(b"isom\x00\x00\x02\x00isomiso2mp41"), "video/mp4"),
        (ftyp(b"mp4!"), "video/mp4"),
        (ftyp(b"isom\x00\x00\x02\x00mp4\x00"), "video/mp4"),
        (ftyp(b"isommp42"), BINARY),  # as the minor version
        (ftyp(b"isommp42mp42"), "video/mp4"),
        (ftyp(b"isom\x00\x00\x02\x00isomiso2"), BINARY),
        (ftyp(b"qt  \x00\x00\x02\x00qt  "), BINARY),
        (ftyp(b"isom\x00\x00\x02\x00\x00mp4"), BINARY),  # out of step
        (ftyp(b"MP42\x00\x00\x00\x00MP42"), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00").replace(b"ftyp", b"ftyP"), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00", size=15), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00", size=20), BINARY),  # more than is there
        (ftyp(b"mp42\x00\x00\x00\x00", size=0), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00", size=1), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00", size=4), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00", size=8), BINARY),
        (ftyp(b"mp42\x00\x00\x00\x00", size=12), "video/mp4"),
        (ftyp(b"mp42\x00\x00\x00\x00", size=0xFFFFFFFC), BINARY),
        (ftyp(b"isom\x00\x00\x00\x00iso2mp42", size=20), BINARY),  # after the box
        (ftyp(b"mp4", size=8), BINARY),
        (ftyp(b"", size=0), BINARY),
        (ftyp(b"isom" * 124 + b"mp42"), "video/mp4"),  # a box of 508 bytes
        (ftyp(b"isom" * 125 + b"mp42"), "image/x-icon"),  # a box of 512: its size reads as a cursor's mark
        (ftyp(b"mp42" * 127), BINARY),  # a box of 516
    ],
)
def test_an_mp4_names_the_brand_within_its_first_box(head: bytes, media_type: str) -> None:
    assert detect(head) == media_type


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"Hello!! Do you wanna learn about NLP?", EOT),
        (b"PK\x03\x04".ljust(34, b"\x00") + b"LP", EOT),
        (b"GIF89a".ljust(34, b"\x00") + b"LP", "image/gif"),
        (b"\x1a\x45\xdf\xa3".ljust(34, b"\x00") + b"LP", "video/webm"),
        (b"<p>".ljust(34) + b"LP", HTML),
    ],
)
def test_the_first_signature_that_matches_decides(head: bytes, media_type: str) -> None:
    assert detect(head) == media_type


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b" ",
        b"\t\n\x0c\r ",
        b"plain",
        "Grüße, мир, ☃".encode(),
        "Grüße".encode("latin-1"),
        "a☃".encode()[:-1],  # cut within a character
        b"\x1b[31mred\x1b[0m",
        b"a\tb\nc\x0cd\re\x7f",
        bytes(range(0x80, 0x100)),
    ],
)
def test_bytes_without_binary_control_bytes_are_text(head: bytes) -> None:
    assert detect(head) == TEXT


@pytest.mark.parametrize("byte", range(0x20))
def test_a_control_byte_makes_it_binary_unless_text_may_have_it(byte: int) -> None:
    expected = TEXT if bytes([byte]) in b"\t\n\x0c\r\x1b" else BINARY
    assert detect(b"text" + bytes([byte])) == expected
    assert detect(bytes([byte]) + b"text") == expected
    assert detect(bytes([byte])) == expected


def test_only_the_first_512_bytes_decide() -> None:
    assert HEAD_BYTES == 512
    assert detect(b"x" * 511 + b"\x00") == BINARY
    assert detect(b"x" * 512 + b"\x00") == TEXT
    assert detect(b" " * 506 + b"<html>") == HTML
    assert detect(b" " * 507 + b"<html>") == TEXT
    assert detect(b" " * 507 + b"<?xml") == XML
    assert detect(b" " * 508 + b"<?xml") == TEXT
    assert detect(b" " * 5000 + b"<html>\x00") == TEXT
