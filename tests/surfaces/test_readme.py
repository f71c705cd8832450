"""The code blocks of README.md and docs/, run unchanged except for the address."""

from pathlib import Path

import pytest

from tests import documents
from tests.documents import REPORT
from tests.services import Service

# What the blocks of a section print, and the files they save.
SAID = {
    "README.md#Vimeo: one-time links, with a password if you like": [
        '{"error":"Unauthorized"',
        '{"error":"Gone"',
        f"{REPORT}\n410\n",
        "received.xls",
    ],
    "README.md#Streams: raw bytes by id, and queues of them": ["some data", '"status":"deleted"', "first\n"],
    "README.md#Store: files by the hash of their content": [f" {REPORT}"],
    "README.md#Named: files by name, with a page": [".xls uploaded", '"filename":', f"uploaded\n{REPORT}"],
    "README.md#Transfer: files by sealed ids, and uploads from URLs": [":gAAAA", REPORT],
    "README.md#Resumable uploads": ["Upload-Offset: 10", '"status":"created"', "/file/"],
    "docs/dialects.md#The dialects in detail": [],
    "docs/dialects.md#Vimeo: one-time files": ["200"],
    "docs/dialects.md#Manage URLs: what became of an upload": ['"state":"waiting"', '"state":"removed"'],
    "docs/dialects.md#Streams: queues": ['"streams":[{"id"', '"receipt":', '"status":"deleted"'],
    "docs/dialects.md#Streams: joining": ['"status":"created"'],
    "docs/dialects.md#Store: forms": [],
    "docs/dialects.md#Named: forms": [],
    "docs/dialects.md#Transfer: forms": [],
    "docs/commands.md#Copying and fetching": [],
    "docs/operations.md#Health": ['{"status":"alive"}', '{"status":"ready"'],
}
SAVED = {
    "README.md#Vimeo: one-time links, with a password if you like": ["once.xls", "received.xls"],
    "README.md#Store: files by the hash of their content": ["by_hash.xls"],
    "README.md#Transfer: files by sealed ids, and uploads from URLs": ["sealed.xls"],
    "docs/dialects.md#Transfer: forms": ["sealed.xls"],
}
ELSEWHERE = {
    "README.md#Three ways to start",  # what the tests start
    "docs/containers.md#In containers",  # tests/deployments
    "docs/containers.md#Settings",
    "docs/containers.md#Production",
    "README.md#API tokens",  # tests/access/test_token_command.py
    "docs/tokens.md#API tokens",  # the same
    "docs/dialects.md#Transfer: uploads from URLs",  # of the internet; tests/surfaces/test_fetches.py
}


def test_every_block_is_run() -> None:
    assert set(documents.sections()) == set(SAID) | ELSEWHERE


@pytest.mark.parametrize("section", SAID)
def test_each_section_works_as_it_stands(service: Service, tmp_path: Path, section: str) -> None:
    output = documents.run(documents.sections()[section], service.url, tmp_path)
    for words in SAID[section]:
        assert words in output
    for name in SAVED.get(section, []):
        assert (tmp_path / name).read_text() == REPORT
