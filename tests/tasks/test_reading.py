"""Where the answer is in a text, and which letter it names."""

import pytest

from mmlite.tasks.reading import Answer, find_answer, read_letter


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("center red. answer: red.", "red."),
        ("center red. answer : red", "red"),
        ("ANSWER: B", "B"),
        ("**Answer:** B", "B"),
        ("Answer: **B**", "B"),
        ("**Answer: B**", "B"),
        ("Answer:\n\nB", "B"),
        ("Answer: A\nNo, wait.\nFinal answer: B\nThat is all.", "B"),
        ("answer: red. answer: blue", "blue"),
        ("So \\boxed{A} it is.\nDone.", "A"),
        ("Answer: $\\boxed{\\text{A}}$", "A"),
        ("Answer: \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("Hm.\nThe correct answer is A", "A"),
        ("Answer: The correct answer is: A", "A"),
        ('Answer: "top-left"', "top-left"),
        ("<think>Answer: A</think>\nAnswer: B", "B"),
        ("Answer: A</think>Answer: B", "B"),
        ("Answer\uff1a B", "B"),
        ("The answer is\uff1aB", "B"),
        ("Answer: \u201cB\u201d", "B"),
        ("<answer>B</answer>", "B"),
        ("I see a dog. <Answer>\n B\n</Answer>\nThat is all.", "B"),
        ("<think>Hm.</think><answer>Answer: B</answer>", "B"),
        ("<answer>A\nB</answer>", "A B"),
    ],
)
def test_marked_answers(text, answer):
    assert find_answer(text) == Answer(answer, marked=True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("red", "red"),
        ("Let me see.\n\nred \n", "red"),
        ("The answers: none", "The answers: none"),
        ("\u2018red\u2019", "red"),
    ],
)
def test_last_line_is_not_marked(text, line):
    assert find_answer(text) == Answer(line, marked=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Answer:",
        "Answer: **",
        "<think>Answer: A",
        "Answer: A</think>\n",
        "<think>B\n<answer>B</answer>\n\nB",
    ],
)
def test_nothing_to_read(text):
    assert find_answer(text) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("[B].", "B"),
        ("B)", "B"),
        ("option b", "B"),
        ("Option B.", "B"),
        ("Option B, the red one", "B"),
        ("it is option (b)", "B"),
        ("B. blue", "B"),
        ("b) blue", "B"),
        ("B: blue", "B"),
        ("(b) blue", "B"),
        ("B, because it is blue", "B"),
        ("B is correct", "B"),
        ("B, not C", "B"),
        ("B, I think", "B"),
        ("A dog", None),
        ("Based on this", None),
        ("Blue", None),
        ("A or B", None),
        ("(A) or (B)", None),
        ("A, B", None),
        ("A. red or B. blue", None),
        ("not A", None),
        ("E", None),
        ("(e)", None),
        ("none", None),
        ("(A) is wrong", None),
        ("Option A is wrong", None),
        ("A. is clearly wrong", None),
        ("(A) and (B) are both wrong", None),
        ("(A) is not the right answer", None),
        ("(A) isn't correct", None),
        ("(A) cannot be right", None),
        ("I would not choose (A)", None),
        ("not (A) or (B)", None),
        ("anything but (A)", None),
        ("(A) is wrong, (B) is right", "B"),
        ("(B) rather than (A)", "B"),
        ("(B) because the star is not red", "B"),
        ("(B) is not red", "B"),
        ("(B) is the right one", "B"),
        ("(B) wrong", "B"),
    ],
)
def test_letters_of_marked_answers(text, letter):
    assert read_letter(Answer(text, marked=True), 4) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("I choose option B.", "B"),
        ("It must be (b).", "B"),
        ("So B is correct.", "B"),
        ("D. blue, which is wrong", None),
        ("Option D shows a dog", None),
        ("(d) shows a dog", None),
        ("Based on this", None),
        ("A dog", None),
        ("I see a", None),
        ("I would not choose option B.", None),
        ("So it is not (b).", None),
    ],
)
def test_letters_of_unmarked_lines_are_read_more_strictly(text, letter):
    assert read_letter(Answer(text, marked=False), 4) == letter


def test_letters_beyond_the_options_do_not_count():
    assert read_letter(Answer("c", marked=True), 2) is None
    assert read_letter(Answer("c", marked=True), 3) == "C"
    assert read_letter(Answer("option b (m)", marked=True), 4) is None
    assert read_letter(Answer("option B (m)", marked=True), 4) == "B"
