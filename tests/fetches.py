"""URL uploads as a client sees them."""

from dataclasses import dataclass
from typing import Any

import requests

from tests.services import Service, await_

PATIENCE = 120  # seconds
OPEN = {"FETCH_URLS": "1", "FETCH_ALLOW_PRIVATE": "1"}  # settings under which URLs from loopback are fetched


@dataclass(frozen=True)
class Fetch:
    """A fetch that the service has accepted with 202."""

    service: Service
    file_id: str
    status_url: str

    def status(self) -> dict[str, Any]:
        return dict(requests.get(self.status_url, timeout=PATIENCE).json())

    @property
    def runs(self) -> bool:
        return bool(self.status()["state"] == "fetching")

    def ended(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for the end and return the status."""
        await_(lambda: not self.runs, seconds)
        return self.status()

    def cancel(self) -> dict[str, Any]:
        return dict(requests.delete(self.status_url, timeout=PATIENCE).json())

    def download(self) -> requests.Response:
        return downloaded(self.service, self.file_id)


def ask(service: Service, url: str, *, wait: bool = True, **more: object) -> requests.Response:
    """Request a fetch; `wait` says whether the service may wait for it."""
    headers = {} if wait else {"Prefer": "respond-async"}
    return requests.post(f"{service.url}/uploadFile", json={"file": url, **more}, headers=headers, timeout=PATIENCE)


def begin(service: Service, url: str, **more: object) -> Fetch:
    """Request a fetch without waiting for it."""
    response = ask(service, url, wait=False, **more)
    assert response.status_code == 202, response.text
    return Fetch(service, **response.json())


def downloaded(service: Service, file_id: str) -> requests.Response:
    return requests.get(f"{service.url}/downloadFile", params={"file_id": file_id}, timeout=PATIENCE)


def partial_files(service: Service) -> list[str]:
    """Return the files of fetches in the spool."""
    return [path.name for path in service.spooled() if path.name.startswith("fetch-")]
