"""The slots of a file that can be downloaded several times."""

from hypothesis import given
from hypothesis import strategies as st

from vimeo_api.core.files.slots import Hold, Slots

TOKENS = st.sampled_from("abcdef")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), TOKENS),
        st.tuples(st.just("complete"), TOKENS),
        st.tuples(st.just("give back"), TOKENS),
        st.tuples(st.just("lapse"), st.sampled_from(["in doubt", "sure"])),
        st.tuples(st.just("decide"), st.sampled_from(["used", "free"])),
    ),
    max_size=60,
)


def after(slots: Slots, kind: str, what: str, *, moment: float) -> Slots:
    match kind:
        case "lease" if slots.is_open or (what in slots.taken and slots.taken[what].hold is Hold.HELD):
            return slots.leased(what, 1, moment=moment, until=moment + 5, hosts="a")
        case "complete" if what in slots.taken:
            return slots.completed(what, moment=moment, until=moment + 9)
        case "give back":
            return slots.given_back(what, 1, even_resumed=True)
        case "lapse":
            return slots.lapsed(moment=moment, is_doubtful=lambda _: what == "in doubt")
        case "decide":
            return slots.decided(used=what == "used")
    return slots


@given(downloads=st.integers(2, 4), steps=STEPS)
def test_each_slot_is_free_held_in_doubt_or_used_up_whatever_happens(
    downloads: int, steps: list[tuple[str, str]]
) -> None:
    slots, used = Slots.read("", downloads), 0
    for moment, (kind, what) in enumerate(steps):
        slots = after(slots, kind, what, moment=moment)
        numbers = [slot.number for slot in slots.taken.values()]
        assert len(set(numbers)) == len(numbers)
        assert not slots.free & set(numbers)
        assert used <= slots.used <= downloads, "a slot that is used up stays so"
        assert slots.begun <= downloads
        assert Slots.read(str(slots), downloads) == slots
        used = slots.used


def test_a_slot_that_is_given_back_is_taken_again_first() -> None:
    slots = Slots.read("", 3)
    for token in "ab":
        slots = slots.leased(token, 1, moment=0, until=5, hosts="a")
    slots = slots.given_back("a", 1, even_resumed=False).leased("c", 2, moment=1, until=6, hosts="a")
    assert {token: slot.number for token, slot in slots.taken.items()} == {"b": 2, "c": 1}
    assert (slots.left, slots.is_open, slots.due) == (3, True, 5)


def test_a_slot_is_given_back_once_none_of_its_responses_runs() -> None:
    slots = Slots.read("", 2).leased("a", 1, moment=0, until=5, hosts="a").leased("a", 2, moment=1, until=6, hosts="a")
    one_runs = slots.given_back("a", 2, even_resumed=True)
    assert one_runs.taken["a"].hold is Hold.HELD
    assert one_runs.given_back("a", 2, even_resumed=True) is one_runs  # reported twice
    assert one_runs.given_back("a", 1, even_resumed=False).taken.keys() == {"a"}  # it may ask for other ranges
    assert one_runs.given_back("a", 1, even_resumed=True).taken == {}
