"""A journal of downloads as nginx writes it."""

import json
from pathlib import Path

import pytest
from flask import Flask

from vimeo_api import config
from vimeo_api.core.deliveries.lines import Ticket


@pytest.fixture
def log(app: Flask, tmp_path: Path) -> Path:
    """The journal of an app that reads one, as production does."""
    path = tmp_path / "journal" / "deliveries.log"
    path.parent.mkdir()
    settings: config.Settings = app.config["SETTINGS"]
    app.config["SETTINGS"] = settings.model_copy(update={"journal": path})
    return path


def write(log: Path, told: Ticket | str, **changes: object) -> None:
    """Append the line of a complete download, but for the changes."""
    line = {"ticket": str(told), "method": "GET", "status": "200", "sent": "10", "range": "", "completion": "OK"}
    with log.open("a") as file:
        file.write(json.dumps(line | changes) + "\n")
