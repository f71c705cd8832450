"""Journal lines and their effects; every line is read twice, because that must change nothing."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, update

from tests.core.journals import write
from tests.core.leasing import lease
from vimeo_api.core.clock import now
from vimeo_api.core.database import statements
from vimeo_api.core.database.models import File, JournalFile, Status
from vimeo_api.core.deliveries import attempts, confirmations, losses
from vimeo_api.core.deliveries.lines import Ticket
from vimeo_api.core.files import catalog, leases
from vimeo_api.core.files.catalog import Entry, NewFile
from vimeo_api.core.maintenance import sweep

A, B, C = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def ticket(log: Path) -> Ticket:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=10))
    file = entry().id
    answer = lease(file, A)
    assert answer is not None
    return Ticket(file, A, answer)


def write_range(log: Path, file_id: int, token: str, first: int, last: int) -> None:
    """Lease for a range, and have it sent."""
    confirmations.catch_up()
    number = lease(file_id, token, (first, last + 1))
    assert number is not None
    told = Ticket(file_id, token, number)
    write(log, told, status="206", range=f"bytes {first}-{last}/10", sent=str(last + 1 - first))


def entry() -> Entry:
    found = catalog.find("vimeo", "k")
    assert found is not None
    return found


def status() -> str:
    return entry().status


def catch_up_twice() -> None:
    confirmations.catch_up()
    statements.execute(delete(JournalFile))
    confirmations.catch_up()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Status.GONE),
        ({"sent": "9"}, Status.AVAILABLE),
        ({"completion": ""}, Status.AVAILABLE),
        ({"status": "304", "sent": "0"}, Status.AVAILABLE),
        ({"status": "404", "sent": "22"}, Status.AVAILABLE),
        ({"status": "416", "sent": "10"}, Status.AVAILABLE),
        ({"status": "206", "range": "bytes 0-9/10"}, Status.GONE),
        ({"status": "206", "range": "bytes 0-8/10", "sent": "9"}, Status.AVAILABLE),
        ({"status": "206", "range": "bytes 0-9/10", "sent": "3"}, Status.AVAILABLE),
        ({"status": "206", "range": "nonsense"}, Status.AVAILABLE),
        ({"method": "HEAD"}, Status.LEASED),
        ({"ticket": ""}, Status.LEASED),
        ({"ticket": f"999:{A}:1"}, Status.LEASED),
        ({"sent": "many"}, Status.LEASED),
    ],
)
def test_a_journal_line_has_this_effect(log: Path, ticket: Ticket, changes: dict[str, str], expected: Status) -> None:
    write(log, ticket, **changes)
    catch_up_twice()
    assert status() == expected


def test_ranges_add_up_across_resume_tokens(log: Path, ticket: Ticket) -> None:
    write(log, ticket, completion="", sent="0")
    catch_up_twice()
    for token, first, last in ((A, 5, 9), (B, 0, 2), (B, 1, 3)):
        write_range(log, ticket.file_id, token, first, last)
        catch_up_twice()
        assert status() in {Status.AVAILABLE, Status.LEASED}
        leases.give_back(ticket.file_id, token, entry().responses, even_resumed=True)
    write_range(log, ticket.file_id, C, 4, 4)
    catch_up_twice()
    assert status() == Status.GONE


def test_an_interrupted_response_alone_never_uses_up_a_file(log: Path, ticket: Ticket) -> None:
    write(log, ticket, completion="", sent="10")
    catch_up_twice()
    assert status() == Status.AVAILABLE
    write_range(log, ticket.file_id, B, 0, 0)  # what it has sent counts, though, once another one is complete
    catch_up_twice()
    assert status() == Status.GONE


def test_bytes_charged_but_not_sent_are_credited_once(log: Path, ticket: Ticket) -> None:
    write(log, ticket, completion="", sent="4")
    catch_up_twice()
    spans = leases.spans_of(entry())
    assert (spans.most((0, 4)), spans.most((4, 10))) == (1, 0)


def test_an_unreported_response_stays_charged(log: Path, ticket: Ticket) -> None:
    leases.give_back(ticket.file_id, A, ticket.response, even_resumed=True)
    assert lease(ticket.file_id, B, (3, 5)) == 2
    spans = leases.spans_of(entry())
    assert (spans.most((0, 3)), spans.most((3, 5)), spans.most((5, 10))) == (1, 2, 1)


def test_each_attempt_is_kept_once_and_as_long_as_the_row(log: Path, ticket: Ticket) -> None:
    write(log, ticket, completion="", sent="4", time="1000000000.5", seconds="2.250")
    catch_up_twice()
    write_range(log, ticket.file_id, B, 2, 9)
    catch_up_twice()
    told = [(row.response, row.start, row.sent, row.complete) for row in attempts.at(ticket.file_id)]
    assert told == [(1, 0, 4, False), (2, 2, 8, True)]
    first = attempts.at(ticket.file_id)[0]
    assert first.begun_at is not None
    assert (first.ended_at.timestamp(), first.begun_at.timestamp()) == (1000000000.5, 999999998.25)
    assert status() == Status.GONE
    sweep.purge([ticket.file_id])
    assert len(attempts.at(ticket.file_id)) == 2


def test_attempts_are_capped(log: Path, ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST", 1)
    write(log, ticket, completion="", sent="4")
    write_range(log, ticket.file_id, B, 2, 3)
    confirmations.catch_up()
    assert len(attempts.at(ticket.file_id)) == 1


def test_an_old_line_does_not_end_a_later_response(log: Path, ticket: Ticket) -> None:
    write(log, ticket, completion="")
    confirmations.catch_up()
    assert lease(ticket.file_id, A) == 2
    statements.execute(delete(JournalFile))
    confirmations.catch_up()
    assert status() == Status.LEASED


def test_a_line_after_a_truncated_one_is_read(log: Path, ticket: Ticket) -> None:
    with log.open("a") as file:
        file.write(f'{{"ticket":"{ticket.file_id}:{B}:1","method":"GET","sta')  # the disk was full, and is not any more
    write(log, ticket)
    confirmations.catch_up()
    assert status() == Status.GONE


def swept() -> int:
    """Return how many leases a sweep gives back."""
    sweep.read_logs()
    return sweep.settle_leases()


def lapse(file_id: int) -> None:
    statements.execute(update(File).where(File.id == file_id).values(due_at=now() - timedelta(seconds=1)))


@pytest.mark.parametrize("text", ['{"ticket":"7:a\n', '{"ticket":"7:a', "\0\0\0\n"])
def test_a_lapsed_lease_is_in_doubt_after_a_truncated_line(log: Path, ticket: Ticket, text: str) -> None:
    log.write_text(text)
    lapse(ticket.file_id)
    assert swept() == 0
    assert status() == Status.IN_DOUBT
    write(log, ticket)
    swept()
    assert status() == Status.GONE  # the journal knew it after all


def test_a_lapsed_lease_is_in_doubt_if_a_good_line_follows_a_truncated_one(log: Path, ticket: Ticket) -> None:
    log.write_text('{"ticket":"7:a')
    write(log, Ticket(999, B, 1))
    lapse(ticket.file_id)
    assert swept() == 0
    assert status() == Status.IN_DOUBT


def test_a_truncated_rotated_file_puts_only_earlier_leases_in_doubt(log: Path, ticket: Ticket) -> None:
    write(log, Ticket(999, B, 1))
    with log.open("a") as file:
        file.write('{"ticket":"7:a')
    log.rename(log.with_name("deliveries.log.1"))
    log.touch()
    lapse(ticket.file_id)
    assert swept() == 0
    assert leases.release(ticket.file_id)
    lease(ticket.file_id, B)
    lapse(ticket.file_id)
    assert swept() == 1


def test_a_lapsed_lease_is_in_doubt_on_a_full_disk(log: Path, ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
    log.touch()
    full = shutil.disk_usage(log.parent)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    lapse(ticket.file_id)
    assert swept() == 0
    assert status() == Status.IN_DOUBT


def test_a_lapsed_lease_from_before_a_boot_is_in_doubt(
    app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog.add(NewFile("vimeo", "k", blob="b", name="n", size=10))
    swept()  # the boot that was
    lease(entry().id, A)
    lapse(entry().id)
    (tmp_path / "boot_id").write_text("another")
    monkeypatch.setattr(losses, "BOOT_ID", tmp_path / "boot_id")
    assert swept() == 0
    assert status() == Status.IN_DOUBT
    assert leases.release(entry().id)
    lease(entry().id, B)
    lapse(entry().id)
    assert swept() == 1  # a lease of this boot
    assert status() == Status.AVAILABLE


def test_invalid_lines_are_skipped(log: Path, ticket: Ticket) -> None:
    log.write_bytes(b"\xff\xfe\n[]\n\n{}\nnull\n")
    write(log, ticket)
    confirmations.catch_up()
    assert status() == Status.GONE
