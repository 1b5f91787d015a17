"""What teachers get wrong is left out, counted and listed by kind, up to a cap."""

import json

import pytest
from synthesis.made import SCRIPT, asked, lines, llava, spec_file, synthesize, talk, teacher

ALL = {"max_left_out_fraction": 1.0}
GOOD = talk("good", ["0.png"], "Is it red?", "no")


def said(role, words, text):
    """The script with another text for whatever holds some words."""
    return {**SCRIPT, role: {words: text, **SCRIPT[role]}}


@pytest.mark.parametrize(
    ("role", "text", "kind"),
    [
        ("info", "Contents to observe: the hats CUT", "info_cut"),
        ("info", "<think>The hat.</think> Contents to observe:", "info_empty"),
        ("info", "Contents to observe: the <image>", "info_placeholder"),
        ("info", "Contents to observe: the fedora", "info_tells_answer"),
        ("info", "Contents to observe: what hat is this", "info_tells_question"),
        ("statements", " ", "statements_empty"),
        ("statements", "It is a hat. CUT", "statements_cut"),
        ("statements", "<image> is a hat.", "statements_placeholder"),
        ("describe", "<think>It is</think>", "description_empty"),
        ("describe", "A man with a hat and a hat and a CUT", "description_cut"),
        ("describe", "<image>", "description_placeholder"),
    ],
)
def test_a_bad_text_leaves_its_row_out(role, text, kind, tmp_path):
    words = "hat" if role != "describe" else "It is so"
    source = llava(tmp_path, [talk("bad", ["1.png"], "What hat is this?", "a fedora"), GOOD])
    script = teacher(tmp_path, said(role, words, text))
    spec = spec_file(tmp_path, source, teacher=script, checks=ALL)
    assert synthesize(spec, tmp_path / "out") == 0
    assert [record["id"] for record in lines(tmp_path / "out" / "extraction.jsonl")] == ["good"]
    (line,) = lines(tmp_path / "out" / "left_out.jsonl")
    assert (line["row"], line["id"], line["kind"]) == (0, "bad", kind)
    summary = json.loads((tmp_path / "out" / "synthesis.json").read_text())
    assert summary["left_out"] == {kind: 1}


def test_leaks_may_be_kept(tmp_path):
    source = llava(tmp_path, [talk("leaks", ["1.png"], "What hat is this?", "a fedora")])
    script = teacher(tmp_path, said("info", "hat", "Contents to observe: a fedora"))
    spec = spec_file(tmp_path, source, teacher=script, checks={"leaks": False})
    assert synthesize(spec, tmp_path / "out") == 0
    (record,) = lines(tmp_path / "out" / "extraction.jsonl")
    assert record["mmlite"]["info"] == "a fedora"


def test_what_is_only_counted_is_kept(tmp_path):
    talks = [talk("t", ["0.png"], "What is it?", "a cat", "Where is it?", "on a sofa"), GOOD]
    spec = spec_file(tmp_path, llava(tmp_path, talks))
    assert synthesize(spec, tmp_path / "out") == 0
    summary = json.loads((tmp_path / "out" / "synthesis.json").read_text())
    assert (summary["records"], summary["left_out"]) == (2, {})
    assert summary["kept_but_counted"] == {
        "fewer_statements": 1,
        "descriptions_without_an_answer": 1,
    }


def test_too_many_bad_rows_stop_it_before_the_costly_step(tmp_path, capsys):
    bad = [talk(f"bad{n}", ["1.png"], f"What hat is {n}?", "a fedora") for n in range(3)]
    texts = talk("text", [], "How much?", "2")
    spec = spec_file(
        tmp_path,
        llava(tmp_path, [*bad, texts, GOOD]),
        teacher=teacher(tmp_path, said("info", "hat", "Contents to observe: ")),
        checks={"max_left_out_fraction": 0.7},
    )
    out = tmp_path / "out"
    assert synthesize(spec, out) == 1
    assert not (out / "synthesis.json").exists()
    told = capsys.readouterr().err
    assert "3 of 4 rows are bad (info_empty 3), allowed: a share of 0.7; read" in told
    assert {role for role, *_ in asked(tmp_path)} == {"load", "info"}
    assert [line["kind"] for line in lines(out / "left_out.jsonl")] == [
        *(["info_empty"] * 3),
        "no_image",
    ]
    assert not (out / "extraction.jsonl").exists()
    assert synthesize(spec, out, "--checks.max_left_out_fraction", "0.8") == 0
    assert [role for role, *_ in asked(tmp_path)].count("info") == 4, "nothing is asked again"
    assert [record["id"] for record in lines(out / "extraction.jsonl")] == ["good"]


def test_rows_without_an_image_do_not_count_against_the_cap(tmp_path):
    texts = [talk(f"text{n}", [], "How much?", "2") for n in range(5)]
    spec = spec_file(tmp_path, llava(tmp_path, [*texts, GOOD]), checks={"max_left_out_fraction": 0})
    assert synthesize(spec, tmp_path / "out") == 0
    assert len(lines(tmp_path / "out" / "left_out.jsonl")) == 5


def test_nothing_left_is_told(tmp_path, caplog):
    spec = spec_file(tmp_path, llava(tmp_path, [talk("text", [], "How much?", "2")]))
    assert synthesize(spec, tmp_path / "out") == 0
    assert "No row is left" in caplog.text
    assert lines(tmp_path / "out" / "extraction.jsonl") == []


@pytest.mark.parametrize("size_px", [None, 20])
def test_images_that_cannot_be_read_leave_their_rows_out(size_px, tmp_path):
    source = llava(tmp_path, [talk("broken", ["1.png"], "Is it red?", "no"), GOOD])
    record = talk("gone", ["gone.png"], "Is it red?", "no")
    with (tmp_path / "qa.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\nno JSON\n")
    (tmp_path / "images" / "1.png").write_bytes(b"no image")
    spec = spec_file(tmp_path, source, checks=ALL, image_px=size_px)
    assert synthesize(spec, tmp_path / "out") == 0
    assert [record["id"] for record in lines(tmp_path / "out" / "extraction.jsonl")] == ["good"]
    found = lines(tmp_path / "out" / "left_out.jsonl")
    kinds = ["unreadable_image", "unreadable_image", "malformed"]
    assert [(line["row"], line["kind"]) for line in found] == list(
        zip((0, 2, 3), kinds, strict=True)
    )
    assert "1.png" in found[0]["told"]
    assert "qa.jsonl line 4" in found[2]["told"]
