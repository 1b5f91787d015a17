"""Questions: right answers, derivations from any description, and drawing."""

import random
from collections.abc import Iterable, Sequence

import pytest

from mmlite.microworld.descriptions import Clause, full_description, look_up
from mmlite.microworld.knowledge import THINGS, held_out
from mmlite.microworld.questions import Kind, Question, Questions
from mmlite.microworld.scene import Object, Scene, WorldConfig, draw_scene_of
from mmlite.tasks import TASK_NAMES

QUESTIONS = Questions()
SEEING = [*QUESTIONS.groups["vision"], *QUESTIONS.groups["reasoning"]]
SCENE = Scene(
    (
        Object("circle", "red", "large", "7", "top-left"),
        Object("square", "blue", "small", None, "top-right"),
        Object("star", "red", "small", "3", "center"),
        Object("cross", "green", "small", "5", "bottom-right"),
    )
)
"""
circle 7 (large red)   .             square (small blue)
.                      star 3        .
.                      .             cross 5 (small green)
"""


def scenes(number: int = 300) -> list[Scene]:
    rng = random.Random("questions")
    return [draw_scene_of("train", rng, WorldConfig()) for _ in range(number)]


@pytest.mark.parametrize(
    ("kind", "args", "asked", "answer", "extraction", "derivation"),
    [
        (
            *("count", ("red",), "how many shapes are red?", "2"),
            "top-left red. top-right blue. center red. bottom-right green.",
            "top-left red red yes 1. top-right blue red no 1. center red red yes 2. "
            "bottom-right green red no 2. answer: 2",
        ),
        (
            *("attribute", ("center",), "what color is at center?", "red"),
            *("center red.", "center red. answer: red"),
        ),
        (
            *("locate", ("star",), "where is the star?", "center"),
            *("star center.", "star center. answer: center"),
        ),
        (
            *("digit", ("cross",), "which digit is on the cross?", "5"),
            *("cross 5.", "cross 5. answer: 5"),
        ),
        (
            *("relation", ("circle", "square")),
            *("on which side of the square is the circle?", "left"),
            "circle top-left. square top-right.",
            "circle top-left. square top-right. answer: left",
        ),
        (
            *("similar", ("star", "circle", "square")),
            *("is the star more like the circle or the square?", None, None, None),
        ),
        (
            *("similar", ("square", "circle", "cross")),
            *("is the square more like the circle or the cross?", "second"),
            "square small blue. circle large red. cross small green.",
            "circle small large no blue red no 0. cross small small yes blue green no 1. "
            "answer: second",
        ),
        (
            *("compare", ("red", "blue")),
            *("are red shapes more, fewer or equal to blue shapes?", "more"),
            "top-left red. top-right blue. center red. bottom-right green.",
            "top-left red red blue first 1 0. top-right blue red blue second 1 1. "
            "center red red blue first 2 1. bottom-right green red blue neither 2 1. answer: more",
        ),
        (
            *("sum", ("circle", "cross"), "add the digits on the circle and the cross.", "12"),
            *("circle 7. cross 5.", "circle 7. cross 5. 7 plus 5 is 12. answer: 12"),
        ),
        (
            *("largest", (), "which shape has the largest digit?", "circle"),
            "circle 7. star 3. cross 5.",
            "circle 7. best circle 7 star 3 fewer. best circle 7 cross 5 fewer. answer: circle",
        ),
        (
            *("hop", ("star", "red")),
            *("add the digit on the star and the number of red shapes.", "5"),
            "star 3. top-left red. top-right blue. center red. bottom-right green.",
            "star 3. top-left red red yes 1. top-right blue red no 1. center red red yes 2. "
            "bottom-right green red no 2. 3 plus 2 is 5. answer: 5",
        ),
    ],
)
def test_a_scene_from_question_to_derivation(kind, args, asked, answer, extraction, derivation):
    candidates = dict(QUESTIONS.kinds[kind].candidates(SCENE))
    assert candidates.get(args) == answer
    question = Question(kind, args, answer or "")
    assert QUESTIONS.ask(question) == asked
    if answer is not None:
        assert QUESTIONS.extraction(question, SCENE) == extraction
        assert QUESTIONS.derive(question, extraction).text == derivation


@pytest.mark.parametrize("name", SEEING)
def test_gold_and_full_descriptions_always_lead_to_the_answer(name):
    kind, asked = QUESTIONS.kinds[name], 0
    for scene in scenes():
        for args, answer in kind.candidates(scene):
            question = Question(name, args, answer)
            assert answer in kind.answers
            for text in (QUESTIONS.extraction(question, scene), full_description(scene)):
                derivation = QUESTIONS.derive(question, text)
                assert (derivation.answer, derivation.known) == (answer, True)
            asked += 1
    assert asked > 100


@pytest.mark.parametrize("name", SEEING)
def test_without_a_description_the_derivation_guesses_and_says_so(name):
    kind = QUESTIONS.kinds[name]
    guesses = set()
    for scene in scenes():
        for args, answer in kind.candidates(scene):
            derivation = QUESTIONS.derive(Question(name, args, answer), "nothing.")
            assert not derivation.known
            assert "unknown." in derivation.steps
            assert derivation.answer in kind.answers
            guesses.add(derivation.answer)
            assert derivation == QUESTIONS.derive(Question(name, args, answer), "nothing.")
    assert name == "largest" or len(guesses) > 1


def test_a_wrong_description_leads_to_the_wrong_answer():
    question = Question("sum", ("circle", "cross"), "12")
    assert QUESTIONS.derive(question, "circle 6. cross 5.").answer == "11"
    assert not QUESTIONS.derive(question, "circle 6.").known


@pytest.mark.parametrize("name", QUESTIONS.groups["language"])
def test_knowledge_needs_no_picture(name):
    rng = random.Random(0)
    for _ in range(50):
        question = QUESTIONS.pick(name, SCENE, rng)
        assert question is not None
        assert QUESTIONS.extraction(question, SCENE) == "nothing."
        derivation = QUESTIONS.derive(question, "nothing.")
        assert derivation.text == f"answer: {question.answer}"


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("name", QUESTIONS.groups["language"])
def test_the_halves_of_knowledge_are_kept_apart(name, half):
    rng = random.Random(0)
    for _ in range(100):
        question = QUESTIONS.pick(name, SCENE, rng, held_out_knowledge=half)
        assert question is not None
        assert held_out(question.args) is half


@pytest.mark.parametrize("name", SEEING)
def test_picks_are_candidates_with_even_answers(name):
    rng = random.Random(0)
    candidates = dict(QUESTIONS.kinds[name].candidates(SCENE))
    picks = [QUESTIONS.pick(name, SCENE, rng) for _ in range(200)]
    assert all(p is not None and candidates[p.args] == p.answer for p in picks)
    answers = [p.answer for p in picks if p is not None]
    assert set(answers) == set(candidates.values())
    assert min(map(answers.count, set(answers))) > 0.5 * 200 / len(set(answers))


def test_a_scene_may_allow_no_question_of_a_kind():
    bare = Scene((Object("circle", "red", "large", None, "center"),))
    for name in ("digit", "relation", "similar", "sum", "largest", "hop"):
        assert QUESTIONS.pick(name, bare, random.Random(0)) is None


def test_a_tie_for_the_largest_digit_is_not_asked_about():
    tie = Scene(
        (
            Object("circle", "red", "large", "7", "top-left"),
            Object("star", "red", "small", "7", "center"),
        )
    )
    assert QUESTIONS.pick("largest", tie, random.Random(0)) is None


def test_options_hold_the_answer_once_and_fit_the_question():
    rng = random.Random(0)
    for name, kind in QUESTIONS.kinds.items():
        question = QUESTIONS.pick(name, SCENE, rng)
        assert question is not None
        options = kind.options(question, 4, rng)
        assert len(options) == len(set(options)) == min(4, len(set(options) | {*kind.answers}))
        assert question.answer in options
        if name == "fact":
            assert set(options) <= set(THINGS[question.args[1]])


def test_every_kind_names_a_built_in_task():
    assert {kind.task for kind in QUESTIONS.kinds.values()} <= set(TASK_NAMES)


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind: got 'counts', allowed: count, attribute"):
        QUESTIONS.kind("counts")


class Size(Kind):
    """A kind from outside: the size of a shape."""

    name, group, task, answers = "size", "vision", "short_answer", ("small", "large")

    def candidates(self, scene: Scene) -> Iterable[tuple[tuple[str, ...], str]]:
        return [((obj.shape,), obj.size) for obj in scene.objects]

    def ask(self, args: tuple[str, ...]) -> str:
        return f"how large is the {args[0]}?"

    def extraction(self, args: tuple[str, ...], scene: Scene) -> str:
        return next(f"{o.shape} {o.size}." for o in scene.objects if o.shape == args[0])

    def steps(
        self, args: tuple[str, ...], clauses: Sequence[Clause]
    ) -> tuple[list[str], str | None]:
        return [], look_up(clauses, "shape", args[0], "size")


def test_a_kind_of_ones_own_is_asked_like_the_others():
    questions = Questions(more_kinds=[Size()])
    question = questions.pick("size", SCENE, random.Random(0))
    assert question is not None
    text = questions.extraction(question, SCENE)
    assert questions.derive(question, text).answer == question.answer
    assert "size" in questions.groups["vision"]


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (("red", "green"), "more"),
        (("blue", "red"), "fewer"),
        (("blue", "green"), "equal"),
        (("white", "blue"), "fewer"),
        (("white", "purple"), None),
    ],
)
def test_compared_counts(args, answer):
    assert dict(QUESTIONS.kinds["compare"].candidates(SCENE)).get(args) == answer


def test_numbers_that_are_no_answer_of_their_kind_are_not_asked_for():
    places = ("top-left", "top-middle", "top-right", "center", "bottom-left")
    shapes = ("circle", "square", "star", "cross", "diamond")
    reds = Scene(
        tuple(Object(s, "red", "small", "9", p) for s, p in zip(shapes, places, strict=True))
    )
    assert ("red",) not in dict(QUESTIONS.kinds["count"].candidates(reds))
    assert list(QUESTIONS.kinds["hop"].candidates(reds)) == []
