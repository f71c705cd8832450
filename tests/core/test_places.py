"""The places of a file that can be downloaded several times."""

from hypothesis import given
from hypothesis import strategies as st

from vimeo_api.core.files.places import Hold, Places

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


def after(places: Places, kind: str, what: str, *, moment: float) -> Places:
    match kind:
        case "lease" if places.is_open or (what in places.taken and places.taken[what].hold is Hold.HELD):
            return places.leased(what, 1, moment=moment, until=moment + 5, hosts="a")
        case "complete" if what in places.taken:
            return places.completed(what, moment=moment, until=moment + 9)
        case "give back":
            return places.given_back(what, 1, even_resumed=True)
        case "lapse":
            return places.lapsed(moment=moment, is_doubtful=lambda _: what == "in doubt")
        case "decide":
            return places.decided(used=what == "used")
    return places


@given(downloads=st.integers(2, 4), steps=STEPS)
def test_each_place_is_free_held_in_doubt_or_used_up_whatever_happens(
    downloads: int, steps: list[tuple[str, str]]
) -> None:
    places, used = Places.read("", downloads), 0
    for moment, (kind, what) in enumerate(steps):
        places = after(places, kind, what, moment=moment)
        numbers = [place.number for place in places.taken.values()]
        assert len(set(numbers)) == len(numbers)
        assert not places.free & set(numbers)
        assert used <= places.used <= downloads, "a place that is used up stays so"
        assert places.begun <= downloads
        assert Places.read(str(places), downloads) == places
        used = places.used


def test_a_place_that_is_given_back_is_taken_again_first() -> None:
    places = Places.read("", 3)
    for token in "ab":
        places = places.leased(token, 1, moment=0, until=5, hosts="a")
    places = places.given_back("a", 1, even_resumed=False).leased("c", 2, moment=1, until=6, hosts="a")
    assert {token: place.number for token, place in places.taken.items()} == {"b": 2, "c": 1}
    assert (places.left, places.is_open, places.due) == (3, True, 5)


def test_a_place_is_given_back_once_none_of_its_responses_runs() -> None:
    places = (
        Places.read("", 2).leased("a", 1, moment=0, until=5, hosts="a").leased("a", 2, moment=1, until=6, hosts="a")
    )
    one_runs = places.given_back("a", 2, even_resumed=True)
    assert one_runs.taken["a"].hold is Hold.HELD
    assert one_runs.given_back("a", 2, even_resumed=True) is one_runs  # reported twice
    assert one_runs.given_back("a", 1, even_resumed=False).taken.keys() == {"a"}  # it may ask for other ranges
    assert one_runs.given_back("a", 1, even_resumed=True).taken == {}
