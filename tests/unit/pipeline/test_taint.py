"""Where a sample went wrong: words of steps and samples, by what each step reads."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evalh.core.prompt import INPUTS, Constant, First, Pipeline, PromptVersion, Reference, StepSpec
from evalh.core.sample import SampleWord, Standing, StepGrade, StepResult, StepState, StepWord, Story
from evalh.pipeline.taint import StepGraph, mark

GRADES = {"G": StepGrade.GOOD, "B": StepGrade.BAD, "?": StepGrade.UNKNOWN, "-": None}
STANDINGS = {"G": Standing.GOOD, "B": Standing.BAD, "?": Standing.UNGRADED}
OTHER_STATES = {"s": StepState.SKIPPED, "x": StepState.STOPPED, "d": StepState.GIVEN, "f": StepState.FAILED}

CHAIN = StepGraph({"1": (), "2": ("1",), "3": ("2",)}, ("3",))
DIAMOND = StepGraph({"read": (), "left": ("read",), "right": ("read",), "reply": ("left", "right")}, ("reply",))
FORK = StepGraph({"left": (), "right": (), "reply": ("left", "right")}, ("reply",))


def results(graph: StepGraph, letters: str) -> list[StepResult]:
    return [
        StepResult(step=step, state=OTHER_STATES.get(letter, StepState.RAN), grade=GRADES.get(letter))
        for step, letter in zip(graph.parents, letters, strict=True)
    ]


def marked(graph: StepGraph, letters: str) -> tuple[Mapping[str, StepResult], Story]:
    """`letters`: `GB-,B` is good, bad, nothing grades it; and the sample was bad."""
    steps, sample = letters.split(",")
    told, story = mark(graph, results(graph, steps), STANDINGS[sample])
    return {one.step: one for one in told}, story


def words(graph: StepGraph, letters: str) -> list[str | None]:
    return [None if one.word is None else one.word.value for one in marked(graph, letters)[0].values()]


@pytest.mark.parametrize(
    ("letters", "word", "first_bad", "responsible"),
    [
        ("GGG,G", SampleWord.CLEAN, None, ()),
        ("BGG,G", SampleWord.RECOVERED, "1", ()),
        ("GBB,B", SampleWord.POISONED, "2", ("2",)),
        ("GGB,B", SampleWord.FAILED_AT_END, "3", ("3",)),
        ("BGB,B", SampleWord.FAILED_AT_END, "1", ("3",)),
        ("GGG,B", SampleWord.UNEXPLAINED, None, ()),
        ("BGG,B", SampleWord.UNEXPLAINED, "1", ()),
        ("GBB,G", SampleWord.LATENT, "2", ("2",)),
        ("B?B,B", SampleWord.NOT_KNOWN, "1", ()),
        ("?BB,B", SampleWord.POISONED, None, ()),
        ("BBB,B", SampleWord.POISONED, "1", ("1",)),
        ("GGG,?", SampleWord.NOT_KNOWN, None, ()),
        ("?GG,B", SampleWord.UNEXPLAINED, None, ()),
        ("?GG,G", SampleWord.NOT_KNOWN, None, ()),
        ("BG?,G", SampleWord.NOT_KNOWN, "1", ()),
        ("B?G,G", SampleWord.RECOVERED, "1", ()),
    ],
)
def test_a_chain_of_three(letters: str, word: SampleWord, first_bad: str | None, responsible: tuple[str, ...]) -> None:
    _, story = marked(CHAIN, letters)

    assert story == Story(word=word, first_bad=first_bad, responsible=responsible)


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("BGB,B", ["origin", "recovered", "origin"]),
        ("BBG,G", ["origin", "propagated", "recovered"]),
        ("B?B,B", ["origin", None, "possible"]),
        ("?GB,B", [None, "possible", "origin"]),
        ("GGG,G", [None, None, None]),
        ("B-B,B", ["origin", None, "propagated"]),
    ],
)
def test_a_step_is_judged_by_what_it_reads_and_by_nothing_before_that(letters: str, expected: list[str | None]) -> None:
    assert words(CHAIN, letters) == expected


def test_taint_remains_where_the_fault_was_corrected() -> None:
    steps, _ = marked(CHAIN, "BGG,G")

    assert [one.tainted for one in steps.values()] == [True, True, True]
    assert not any(one.tainted for one in marked(CHAIN, "GGG,B")[0].values())


@pytest.mark.parametrize(
    ("graph", "letters", "word", "responsible"),
    [
        (DIAMOND, "GBGB,B", SampleWord.POISONED, ("left",)),
        (DIAMOND, "BBBB,B", SampleWord.POISONED, ("read",)),
        (DIAMOND, "GBBB,B", SampleWord.POISONED, ("left", "right")),
        (DIAMOND, "GB?B,B", SampleWord.POISONED, ()),
        (DIAMOND, "BGBB,B", SampleWord.POISONED, ("read",)),
        (DIAMOND, "GBGG,G", SampleWord.RECOVERED, ()),
        (FORK, "BBB,B", SampleWord.POISONED, ("left", "right")),
        (FORK, "BBB,G", SampleWord.LATENT, ("left", "right")),
        (FORK, "BGG,B", SampleWord.UNEXPLAINED, ()),
    ],
)
def test_parallel_bad_paths_share_the_fault(
    graph: StepGraph, letters: str, word: SampleWord, responsible: tuple[str, ...]
) -> None:
    _, story = marked(graph, letters)

    assert (story.word, story.responsible) == (word, responsible)


@pytest.mark.parametrize(
    ("letters", "word", "responsible"),
    [
        ("GG-,G", SampleWord.CLEAN, ()),
        ("GG-,B", SampleWord.FAILED_AT_END, ("3",)),
        ("GB-,B", SampleWord.POISONED, ("2",)),
        ("B--,B", SampleWord.POISONED, ("1",)),
        ("B--,G", SampleWord.RECOVERED, ()),
        ("---,B", SampleWord.FAILED_AT_END, ("3",)),
        ("---,?", SampleWord.NOT_KNOWN, ()),
    ],
)
def test_an_output_that_nothing_grades_has_the_samples_grade(
    letters: str, word: SampleWord, responsible: tuple[str, ...]
) -> None:
    _, story = marked(CHAIN, letters)

    assert (story.word, story.responsible) == (word, responsible)


@pytest.mark.parametrize(
    ("letters", "word", "responsible"),
    [
        ("Bxx,B", SampleWord.FAILED_AT_END, ("1",)),
        ("BBx,B", SampleWord.POISONED, ("1",)),
        ("GBx,B", SampleWord.FAILED_AT_END, ("2",)),
        ("Bss,B", SampleWord.FAILED_AT_END, ("1",)),
        ("Gss,B", SampleWord.UNEXPLAINED, ()),
        ("Gff,?", SampleWord.NOT_KNOWN, ()),
    ],
)
def test_a_sample_without_an_output_ends_where_it_was_stopped(
    letters: str, word: SampleWord, responsible: tuple[str, ...]
) -> None:
    _, story = marked(CHAIN, letters)

    assert (story.word, story.responsible) == (word, responsible)


def test_no_step_is_called_responsible_beside_another_end_that_nobody_graded() -> None:
    letters = ("?Bs,B", "GBs,B", "BBs,B")  # the output was skipped: the sample ends at both steps that it reads
    told = [marked(FORK, one)[1] for one in letters]

    assert {one.word for one in told} == {SampleWord.FAILED_AT_END}
    assert [one.responsible for one in told] == [(), ("right",), ("left", "right")]


def test_a_step_that_stops_a_sample_is_its_end_even_if_parallel_steps_run() -> None:
    graph = StepGraph({"guard": (), "reply": ()}, ("reply",))

    told, story = mark(graph, results(graph, "B-"), Standing.BAD, "guard")

    assert (story.word, story.responsible) == (SampleWord.FAILED_AT_END, ("guard",))
    assert [one.grade for one in told] == [StepGrade.BAD, None]


@pytest.mark.parametrize(
    ("letters", "word", "first_bad"),
    [
        ("BdB,B", SampleWord.FAILED_AT_END, "1"),
        ("BdG,G", SampleWord.RECOVERED, "1"),
        ("Gdd,B", SampleWord.UNEXPLAINED, None),
    ],
)
def test_no_fault_passes_through_a_double(letters: str, word: SampleWord, first_bad: str | None) -> None:
    steps, story = marked(CHAIN, letters)

    assert (story.word, story.first_bad) == (word, first_bad)
    assert not steps["2"].tainted
    assert steps["2"].word is None


def test_the_first_output_step_that_ran_is_the_output() -> None:
    graph = StepGraph({"read": (), "ask": ("read",), "reply": ("read",), "note": ("read",)}, ("ask", "reply", "note"))

    assert marked(graph, "Gs--,B")[1].responsible == ("reply",)
    assert marked(graph, "G---,B")[1].responsible == ("ask",)


class Written:
    """An expression that reads what it is said to."""

    where = "p:1"

    def __init__(self, *sources: str) -> None:
        self.references = tuple(Reference(source) for source in sources)
        self.text = " and ".join(sources)

    def evaluate(self, values: Mapping[str, object]) -> None: ...

    def holds(self, values: Mapping[str, object]) -> bool:
        return True


def test_the_graph_follows_what_the_expressions_read() -> None:
    def step(name: str, **more: object) -> StepSpec:
        return StepSpec(
            name=name, where="p:1", version=PromptVersion(name=name, version="v1", path="", sections=()), **more
        )  # type: ignore[arg-type]

    pipeline = Pipeline(
        (
            step("extract", inputs={"email": Written(INPUTS)}),
            step("order", when=Written("extract"), inputs={"id": Written("extract"), "size": Constant(3)}),
            step("audit", after=("order",), inputs={"email": Written(INPUTS)}),
            step("reply", when=Written("order", "audit"), inputs={"order": Written("order")}),
            step("late", when=Written("audit"), otherwise="reply", inputs={"a": Written(INPUTS)}),
            step("decline", otherwise="late", inputs={"x": First((Written("extract"), Written("reply")))}),
        ),
        ("reply", "decline"),
    )

    graph = StepGraph.of(pipeline)

    assert graph == StepGraph(
        {
            "extract": (),
            "order": ("extract",),
            "audit": (),
            "reply": ("order", "audit"),
            "late": ("audit", "order"),
            "decline": ("extract", "reply", "audit", "order"),
        },
        ("reply", "decline"),
    )


# -- a chain whose steps have faults of their own and mend those that they are handed, over everything that can happen


class Outcomes:
    """What becomes of a chain of four, with its chance; each step is graded, and the sample has the last one's grade."""

    graph = StepGraph({"1": (), "2": ("1",), "3": ("2",), "4": ("3",)}, ("4",))

    def __init__(self, faults: tuple[float, ...], masking: tuple[float, ...]) -> None:
        self.all = list(self._play(faults, masking))

    def _play(
        self, faults: tuple[float, ...], masking: tuple[float, ...]
    ) -> Iterator[tuple[float, list[StepResult], Story]]:
        for own in product((False, True), repeat=4):
            for masked in product((False, True), repeat=4):
                chance, bad, letters = 1.0, False, ""
                for step in range(4):
                    chance *= faults[step] if own[step] else 1 - faults[step]
                    chance *= masking[step] if masked[step] else 1 - masking[step]
                    bad = (bad and not masked[step]) or own[step]
                    letters += "B" if bad else "G"
                if chance:
                    told, story = mark(self.graph, results(self.graph, letters), STANDINGS[letters[-1]])
                    yield chance, list(told), story

    def share(self, holds: Callable[[list[StepResult], Story], bool]) -> float:
        return sum(chance for chance, told, story in self.all if holds(told, story))


FAILED = {SampleWord.POISONED, SampleWord.FAILED_AT_END, SampleWord.UNEXPLAINED}


def test_the_chain_by_hand() -> None:
    chain = Outcomes((0.05, 0.20, 0.10, 0.05), (0, 0.2, 0.2, 0.2))

    assert chain.share(lambda _, story: story.word is SampleWord.CLEAN) == pytest.approx(0.6498, abs=1e-6)
    assert chain.share(lambda _, story: story.word in FAILED) == pytest.approx(0.252950, abs=1e-6)
    assert chain.share(lambda _, story: story.word is SampleWord.RECOVERED) == pytest.approx(0.097250, abs=1e-6)
    for step, (own, handed) in enumerate([(0.05, None), (0.20, 0.84), (0.10, 0.82), (0.05, 0.81)]):
        words = {word: chain.share(lambda told, _, s=step, w=word: told[s].word is w) for word in (None, *StepWord)}
        origin, mended = words[StepWord.ORIGIN], words[StepWord.RECOVERED]
        assert origin / (origin + words[None]) == pytest.approx(own)
        if handed is not None:
            assert words[StepWord.PROPAGATED] / (words[StepWord.PROPAGATED] + mended) == pytest.approx(handed)


def test_the_earliest_origin_is_often_not_the_responsible_one() -> None:
    chain = Outcomes((0.2,) * 4, (0, 0.5, 0.5, 0.5))
    failed = chain.share(lambda _, story: story.word in FAILED)

    first = [chain.share(lambda _, one, s=step: one.word in FAILED and one.first_bad == s) for step in "1234"]
    guilty = [chain.share(lambda _, one, s=step: one.word in FAILED and one.responsible == (s,)) for step in "1234"]
    differ = chain.share(lambda _, one: one.word in FAILED and one.responsible != (one.first_bad,))

    assert [one / failed for one in first] == pytest.approx([0.228, 0.219, 0.234, 0.319], abs=0.005)
    assert [one / failed for one in guilty] == pytest.approx([0.131, 0.179, 0.263, 0.427], abs=0.005)
    assert differ / failed == pytest.approx(0.137, abs=0.002)


# -- properties


@st.composite
def samples(draw: st.DrawFn) -> tuple[StepGraph, list[StepResult], Standing]:
    count = draw(st.integers(1, 6))
    names = [f"s{place}" for place in range(count)]
    parents = {
        name: tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else ())
        for place, name in enumerate(names)
    }
    outputs = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)))
    letters = draw(st.text("GGBB??-sxd", min_size=count, max_size=count))
    graph = StepGraph(parents, outputs)
    return graph, results(graph, letters), draw(st.sampled_from(list(Standing)))


def resolved(steps: list[StepResult], standing: Standing) -> Iterator[tuple[list[StepResult], Standing]]:
    """Yield the sample as each of what it may be, once everything is known."""
    unknown = [place for place, one in enumerate(steps) if one.grade is StepGrade.UNKNOWN]
    standings = [Standing.GOOD, Standing.BAD] if standing is Standing.UNGRADED else [standing]
    for grades in product((StepGrade.GOOD, StepGrade.BAD), repeat=len(unknown)):
        known = list(steps)
        for place, grade in zip(unknown, grades, strict=True):
            known[place] = replace(known[place], grade=grade)
        for one in standings:
            yield known, one


@given(samples())
def test_a_samples_word_holds_for_every_grade_of_the_unknown_steps(
    sample: tuple[StepGraph, list[StepResult], Standing],
) -> None:
    graph, steps, standing = sample
    told, story = mark(graph, steps, standing)
    possible = [mark(graph, known, one) for known, one in resolved(steps, standing)]
    stories = [one for _, one in possible]

    expected = {one.word for one in stories}
    assert story.word is (expected.pop() if len(expected) == 1 else SampleWord.NOT_KNOWN)
    firsts = {one.first_bad for one in stories}
    assert story.first_bad == (firsts.pop() if len(firsts) == 1 else None)
    if story.responsible:
        assert {one.responsible for one in stories} == {story.responsible}
    for place, one in enumerate(told):
        words_of = {known[place].word for known, _ in possible}
        if one.word is StepWord.POSSIBLE:
            assert words_of in ({None, StepWord.RECOVERED}, {StepWord.ORIGIN, StepWord.PROPAGATED})
        elif one.word is not None or one.grade in (StepGrade.GOOD, StepGrade.BAD):
            assert words_of == {one.word}


def bad_paths(graph: StepGraph, steps: Mapping[str, StepResult], end: str) -> list[list[str]]:
    """Follow the bad steps back from the end, one chain at a time."""
    if steps[end].grade is not StepGrade.BAD:
        return []
    before = [path for parent in graph.parents[end] for path in bad_paths(graph, steps, parent)]
    return [[*path, end] for path in before] or [[end]]


@given(samples(), st.data())
def test_the_words_of_samples_are_a_partition_by_the_bad_paths(
    sample: tuple[StepGraph, list[StepResult], Standing], data: st.DataObject
) -> None:
    """An independent reading of the definition, for samples in which every step ran and is graded."""
    graph = StepGraph(sample[0].parents, sample[0].outputs[:1])
    letters = data.draw(st.text("GB", min_size=len(graph.parents), max_size=len(graph.parents)))
    standing = data.draw(st.sampled_from([Standing.GOOD, Standing.BAD]))
    steps = {one.step: one for one in results(graph, letters)}
    paths = bad_paths(graph, steps, graph.outputs[0])
    any_bad = "B" in letters

    _, story = mark(graph, list(steps.values()), standing)

    if standing is Standing.GOOD:
        expected = SampleWord.LATENT if paths else SampleWord.RECOVERED if any_bad else SampleWord.CLEAN
    elif not paths:
        expected = SampleWord.UNEXPLAINED
    else:
        long = any(len(path) > 1 for path in paths)
        expected = SampleWord.POISONED if long else SampleWord.FAILED_AT_END
    assert story.word is expected
    assert set(story.responsible) == {path[0] for path in paths}
    assert (story.first_bad is None) == (not any_bad)
