"""Topics are values: what is parsed comes back as text, what is not ours is refused."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.channels import CHANNELS
from broker.topics import LEVELS, BadTopicError, MetricTopic, TelemetryTopic, Topic, check_level, matches

KINDS = [row.topic for row in CHANNELS]
WORDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z").filter(lambda word: not word.endswith("\n"))
LEVEL = st.sampled_from(["a", "b", "c", ""])
WANTED = st.sampled_from(["a", "b", "+", ""])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.pattern)
@given(data=st.data())
def test_a_topic_comes_back_as_it_was_parsed(kind: type[Topic], data: st.DataObject) -> None:
    names = re.findall("<(.*?)>", kind.pattern)
    where = kind(**{name: data.draw(st.from_regex(LEVELS[name], fullmatch=True)) for name in names})
    assert kind.parse(str(where)) == where
    assert matches(kind.filter(), str(where))


@given(machine=WORDS, metric=WORDS)
def test_the_text_of_a_topic_is_its_pattern_filled_in(machine: str, metric: str) -> None:
    assert str(MetricTopic(machine, metric)) == f"telemetry/{machine}/{metric}"
    assert MetricTopic.filter(machine=machine) == f"telemetry/{machine}/+"


@given(st.text())
def test_any_text_is_a_topic_or_refused_as_bad_topic(text: str) -> None:
    with suppress(BadTopicError):
        assert str(TelemetryTopic.parse(text)) == text


@pytest.mark.parametrize(
    "name",
    ["", "+", "#", "a/b", "a+", "-a", ".a", "_a", "a b", "é", "a\0", "a\n", "\ud800", "$SYS", "x" * 65],
)
def test_a_name_that_is_no_level_is_refused(name: str) -> None:
    with pytest.raises(BadTopicError):
        TelemetryTopic(name)
    with pytest.raises(BadTopicError):
        TelemetryTopic.parse(f"telemetry/{name}")


@pytest.mark.parametrize("name", ["a", "7", "press-7", "A.b_c-9", "x" * 64])
def test_a_name_that_is_a_level_is_taken(name: str) -> None:
    assert TelemetryTopic.parse(f"telemetry/{name}").machine == name


@pytest.mark.parametrize("name", ["en", "de-AT"])
def test_a_locale_is_a_language_and_maybe_a_country(name: str) -> None:
    assert check_level("locale", name) == name


@pytest.mark.parametrize("name", ["EN", "en_US", "english", "en-us", ""])
def test_another_locale_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(BadTopicError, match="such as en or de-AT"):
        check_level("locale", name)


def test_a_refusal_shows_no_more_than_the_start_of_a_long_name() -> None:
    with pytest.raises(BadTopicError) as refused:
        check_level("machine", "x" * 100_000)
    assert len(str(refused.value)) < 300


def oracle(pattern: str, topic: str) -> bool:
    """The rule of the standard as a regular expression: `a/#` takes `a` too."""
    levels = pattern.split("/")
    rest = levels[-1] == "#"
    text = "/".join("[^/]*" if one == "+" else re.escape(one) for one in levels[: -1 if rest else None])
    if rest:
        text = f"{text}(/.*)?" if len(levels) > 1 else ".*"
    return re.fullmatch(text, topic) is not None


@given(
    pattern=st.lists(WANTED, min_size=1, max_size=4),
    rest=st.booleans(),
    topic=st.lists(LEVEL, min_size=1, max_size=5),
)
def test_a_filter_takes_what_the_standard_says(pattern: list[str], rest: bool, topic: list[str]) -> None:  # noqa: FBT001
    wanted = "/".join([*pattern, "#"] if rest else pattern)
    assert matches(wanted, "/".join(topic)) == oracle(wanted, "/".join(topic))


def test_hash_alone_takes_everything() -> None:
    assert all(matches("#", topic) == oracle("#", topic) for topic in ("a", "a/b", "/", ""))


def test_no_two_channels_share_a_topic() -> None:
    for kind in KINDS:
        where = str(kind(**dict.fromkeys(re.findall("<(.*?)>", kind.pattern), "en")))
        assert [other for other in KINDS if matches(other.filter(), where)] == [kind]
