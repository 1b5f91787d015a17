"""Both ways to train learn the same from the same rows, so that their speeds can be compared."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.train_vs_transformers import line, table
from benchmarks.training.arms import run_arm
from benchmarks.training.measured import Measured, Setup
from benchmarks.training.mix import KINDS, ROWS_FILE, word_tokenizer, write_mix
from benchmarks.training.ours import Switches, train_mmlite
from benchmarks.training.parts import save_llava, save_parts
from benchmarks.training.shapes import TINY
from benchmarks.training.theirs import train_transformers

SETUP = Setup(shape=TINY, steps=2, batch_size=2, accumulate=2, loss_chunk_tokens=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    SETUP.write(folder)
    save_parts(folder, TINY)
    write_mix(folder, rows=8, vocabulary=TINY.vocabulary, max_text_tokens=TINY.max_text_tokens)
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return run_arm("transformers", folder, tmp_path_factory.mktemp("theirs"))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("arm", ["mmlite", "mmlite chunked", "mmlite not fused"])
def test_losses_of_each_step_are_those_of_transformers(
    arm: str, folder: Path, theirs: Measured, tmp_path: Path
):
    ours = run_arm(arm, folder, tmp_path)
    assert ours.losses == pytest.approx(theirs.losses, abs=1e-5)
    assert ours.supervised == theirs.supervised
    assert ours.tokens == theirs.tokens
    assert sum(ours.padded) <= sum(theirs.padded)
    assert theirs.losses[0] != pytest.approx(theirs.losses[1], abs=1e-3)  # something is learnt
    compared = line(arm, ours, theirs)
    assert compared.loss_difference < 1e-5
    assert arm in table([compared])


@pytest.fixture(scope="module")
def llava(folder: Path) -> Path:
    save_llava(folder / "whole", TINY, "cpu")
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("tuning", ["alignment", "full", "extraction"])
def test_stages_on_a_published_model_learn_what_transformers_does(
    tuning: str, checkpointing: bool, llava: Path, tmp_path: Path
):
    setup = replace(SETUP, tuning=tuning, weights="whole", checkpointing=checkpointing)
    theirs = train_transformers(llava, setup, tmp_path)
    ours = train_mmlite(llava, setup, tmp_path, Switches(chunked=True))
    # Dropout makes the updates of an adapter other ones; before the first they are zero.
    same = 1 if tuning == "extraction" else 2
    assert ours.losses[:same] == pytest.approx(theirs.losses[:same], abs=1e-3)
    assert ours.losses[0] != ours.losses[1]
    assert (ours.supervised, ours.tokens) == (theirs.supervised, theirs.tokens)
    assert ours.flops == pytest.approx(theirs.flops)
    assert min(ours.flops) > 0


def test_other_losses_are_refused(theirs: Measured):
    wrong = Measured(
        losses=[loss + 0.1 for loss in theirs.losses],
        ends=theirs.ends,
        busy=theirs.busy,
        supervised=theirs.supervised,
        tokens=theirs.tokens,
        padded=theirs.padded,
    )
    with pytest.raises(
        RuntimeError, match=r"mmlite: got losses .* allowed: those of the first way"
    ):
        line("mmlite", wrong, theirs)


def test_the_mix_has_the_spread_of_lengths_it_says(tmp_path: Path):
    tokenizer = word_tokenizer(1000)
    assert len(tokenizer) == 1000
    for folder in ("one", "two"):
        write_mix(tmp_path / folder, rows=300, vocabulary=1000, max_text_tokens=768)
    text = (tmp_path / "one" / ROWS_FILE).read_text()
    assert text == (tmp_path / "two" / ROWS_FILE).read_text()
    rows = json.loads(text)
    without = sum("image" not in row for row in rows) / len(rows)
    assert without == pytest.approx(40 / sum(k.thousands for k in KINDS.values()), abs=0.03)
    lengths = sorted(
        sum(len(turn["value"].split()) for turn in row["conversations"]) for row in rows
    )
    assert lengths[-1] <= 769
    assert lengths[len(lengths) * 9 // 10] > 4 * lengths[len(lengths) // 10]
    assert (
        tokenizer.unk_token_id not in tokenizer(rows[0]["conversations"][1]["value"])["input_ids"]
    )
