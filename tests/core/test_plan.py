"""The plan of a file's ranges."""

from vimeo_api.core.fetching.plan import Plan


def test_every_byte_is_planned_once_however_the_work_is_divided() -> None:
    plan, written = Plan(1_000_000, [(5, 10), (900_000, 2_000_000)], parts=3), [(5, 10), (900_000, 1_000_000)]
    held = []
    while not plan.complete:
        if (span := plan.take()) is not None:
            held.append((span, plan.working(span)))
            held[-1][1].__enter__()
        span, working = held.pop(0)
        offset, wanted = plan.claim(span, 70_001)
        written.append((offset, offset + wanted))
        plan.wrote(wanted)
        working.__exit__(None, None, None)
    written.sort()
    assert [start for start, _ in written if _ > start][1:] == [end for start, end in written if end > start][:-1]
    assert plan.take() is None
