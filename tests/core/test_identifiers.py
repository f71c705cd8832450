"""Keys that nobody can guess."""

from vimeo_api.core.identifiers import random_hex


def test_random_hex_is_128_bits_and_never_the_same() -> None:
    seen = {random_hex() for _ in range(1000)}
    assert len(seen) == 1000
    assert {len(value) for value in seen} == {32}
