"""Detect link previews and prefetches, which must not use up a one-time file; the view of such files calls it.

Only previewers that identify themselves are detected. A scanner that poses as a browser gets what browsers get: a page
that uses nothing up.
"""

import re
from functools import lru_cache
from http import HTTPStatus

from flask import Request
from werkzeug.exceptions import HTTPException

# Parts of a User-Agent, in lower case; matched in any case.
AGENTS = (
    "slackbot",  # Slack, links in messages: Slackbot-LinkExpanding, Slackbot 1.0
    "slack-imgproxy",  # Slack, images in messages
    "facebookexternalhit",  # Facebook, Messenger, Instagram; Apple's iMessage poses as it, and as Twitterbot
    "facebot",  # Facebook
    "meta-externalagent",  # Facebook, Threads
    "twitterbot",  # X
    "linkedinbot",  # LinkedIn
    "discordbot",  # Discord
    "telegrambot",  # Telegram
    "whatsapp",  # WhatsApp; Signal poses as it
    "viber",  # Viber
    "skypeuripreview",  # Skype, Microsoft Teams, Outlook
    "bingpreview",  # Bing, Outlook
    "microsoftpreview",  # Bing's newer name
    "google-pagerenderer",  # Google Chat, Google Messages
    "developers.google.com/+/web/snippet",  # Google Chat and others: the snippet fetcher
    "googleimageproxy",  # Gmail, images
    "googlebot",  # Google
    "applebot",  # Apple: Siri, Spotlight
    "redditbot",  # Reddit
    "pinterestbot",  # Pinterest
    "mastodon/",  # Mastodon
    "vkshare",  # VK
    "embedly",  # previews for other services
    "iframely",  # previews for other services
)
# Sec-Purpose (Fetch Standard), and what browsers sent before it: Chrome, Safari, Firefox.
_PURPOSE_HEADERS = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
_PURPOSES = frozenset({"prefetch", "prerender", "preview"})
_FIRST_BYTES = 32769  # previewers request these for the title: `bytes=0-32768`
_FIRST_RANGE = re.compile(rf"bytes *= *0 *- *{_FIRST_BYTES - 1}", re.IGNORECASE)


class Preview(HTTPException):
    """The request is a preview or a prefetch: 503, which no cache may keep."""

    code = HTTPStatus.SERVICE_UNAVAILABLE
    description = "The file can be downloaded once, so previews and prefetches do not get it."

    def get_headers(self, *_: object) -> list[tuple[str, str]]:
        """Return the headers of the response."""
        return [("Cache-Control", "no-store")]


def is_agent(request: Request) -> bool:
    """Return whether a request comes from a known maker of previews."""
    return _is_previewer(request.environ.get("HTTP_USER_AGENT", ""))


@lru_cache(maxsize=256)
def _is_previewer(agent: str) -> bool:
    folded = agent.lower()
    return any(known in folded for known in AGENTS)


def check(request: Request) -> None:
    """Raise Preview for a request whose headers say that it is a preview or a prefetch."""
    said = [value for name in _PURPOSE_HEADERS if (value := request.environ.get(name))]
    if (said and _PURPOSES & {*re.split(r"[\s;,=]+", " ".join(said).lower())}) or is_agent(request):
        raise Preview


def check_range(request: Request, size: int) -> None:
    """Raise Preview if the request asks for a previewer's first 32 KiB and the file is no longer than that."""
    if size <= _FIRST_BYTES and _FIRST_RANGE.fullmatch(request.headers.get("Range", "").strip()):
        raise Preview
