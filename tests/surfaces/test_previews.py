"""A preview or a prefetch of a one-time link gets a page or nothing, and uses nothing up."""

import pytest
import requests

from tests.services import Service
from tests.surfaces.vimeo import get, put, refused
from vimeo_api.web.previews import AGENTS

ANNOUNCED = [
    {"Sec-Purpose": "prefetch"},
    {"Sec-Purpose": "prefetch;prerender;anonymous-client-ip"},
    {"Purpose": "prefetch"},
    {"X-Purpose": "preview"},
    {"X-Moz": "Prefetch"},
    {"Range": "bytes=0-32768"},
]
AGENTS_SEEN = [
    {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Range": "bytes=0-32768"},
    {"User-Agent": "Mozilla/5.0 (Macintosh) AppleWebKit/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"},
    {"User-Agent": "WhatsApp/2.23.20.0"},
    {"User-Agent": "Mozilla/5.0 (Windows NT 6.1) SkypeUriPreview Preview/0.5"},
    *({"User-Agent": f"Mozilla/5.0 {agent}"} for agent in AGENTS),
]
PEOPLE = [
    {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Sec-Purpose": ""},
    {"User-Agent": "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/450]"},
    {"User-Agent": "curl/8.5.0", "Range": "bytes=0-"},
]


def test_a_preview_gets_nothing(service: Service) -> None:
    link = put(service, b"0123456789")
    for headers in ANNOUNCED:
        for _ in range(2):  # nobody may remember it either
            answer = get(link, headers=headers)
            refused(answer, 503, "Service Unavailable")
            assert answer.headers["Cache-Control"] == "no-store"
            assert "previews" in answer.json()["message"]
            assert "X-Download-Grant" not in answer.headers
        assert requests.head(link, headers=headers, timeout=60).status_code in {200, 206}
    for headers in AGENTS_SEEN:
        for accept in ({}, {"Accept": "application/json"}):
            answer = get(link, headers=headers | accept)
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
            assert answer.headers["Cache-Control"] == "no-store"
            assert "X-Download-Grant" not in answer.headers
    assert get(link).content == b"0123456789"  # at once: there is no lease, and the budget is whole


@pytest.mark.parametrize("headers", PEOPLE)
def test_browsers_and_programs_get_the_file(service: Service, headers: dict[str, str]) -> None:
    assert get(put(service, b"0123456789"), headers=headers).content == b"0123456789"


def test_the_first_bytes_of_a_larger_file_can_be_requested(service: Service) -> None:
    link = put(service, bytes(32770))
    assert get(link, headers={"Range": "bytes=0-32768"}).status_code == 206
