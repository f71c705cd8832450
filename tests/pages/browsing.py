"""What the tests of the page do and look at in the browser; the fixtures stand in conftest."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import FilePayload, Locator, Page, Request

CONTRASTS = """() => {
    const luminance = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const paper = element => {
        const background = numbers(getComputedStyle(element).backgroundColor);
        return background[3] === 0 ? paper(element.parentElement) : background;
    };
    const poor = [];
    for (const element of document.querySelectorAll("main *")) {
        const texts = [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE);
        const words = texts.map(node => node.data.trim()).join("");
        if (!words || !element.checkVisibility()) continue;
        const pair = [luminance(numbers(getComputedStyle(element).color)), luminance(paper(element))].sort();
        const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        if (contrast < 4.5) poor.push(`${words}: ${contrast}`);
    }
    return poor;
}"""


def unique(name: str) -> str:
    return f"{secrets.token_hex(4)}-{name}"


def payload(name: str, content: bytes = b"some text\n") -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


def choose(page: Page, *files: FilePayload) -> None:
    page.get_by_label("Choose").set_input_files(list(files))


def row(page: Page, name: str) -> Locator:
    """Return the row of a file being uploaded."""
    rows = page.get_by_role("list", name="Uploads").get_by_role("listitem")
    return rows.filter(has=page.locator("bdi", has_text=re.compile(f"^{re.escape(name)}$")))


@contextmanager
def posts(page: Page) -> Iterator[list[Request]]:
    """Collect the uploads that the page sends within the block."""
    seen: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            seen.append(request)

    page.on("request", note)
    yield seen
    page.remove_listener("request", note)


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
