"""What is wrong with a class of one's own, or with what a file says of it, is told by its key."""

import re
import sys
from pathlib import Path

import pytest
from cli.commands import LANGUAGE, RUN, yaml_file

MINE = """\
from torch import nn, optim

from data_modules.sources import Source
from mmlite.models import Projector
from mmlite.processor import Processor
from mmlite.stages import LanguagePretraining
from mmlite.tokenizers import micro_tokenizer


class MeanProjector(Projector):
    def __init__(self, vision_dim: int, text_dim: int, width: int = 8) -> None:
        super().__init__()

    def num_tokens(self, num_patches):
        return 1

    def forward(self, features):
        return features


class NoBase(nn.Module):
    def __init__(self, vision_dim, text_dim):
        super().__init__()


class Lion(optim.SGD):
    pass


class Sums(Source):
    name = "sums"

    def rows(self, split):
        return None


class Weighted(LanguagePretraining):
    def __init__(self, processor: Processor, *, factor: float, **named) -> None:
        super().__init__(processor, **named)


class LossAlone(LanguagePretraining):
    def loss(self, batch):
        return super().loss(batch)[0]


def bare_tokenizer():
    return micro_tokenizer()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of one's own, which is where the command is given."""
    (tmp_path / "ownparts.py").write_text(MINE)
    (tmp_path / "halfway.py").write_text("import notthere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("ownparts", "halfway"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def part(name: str, class_path: str, init_args: str = "{}") -> str:
    return f"model: {{init_args: {{{name}: {{class_path: {class_path}, init_args: {init_args}}}}}}}"


def source(text: str) -> str:
    return f"data: {{init_args: {{train: [{text}]}}}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            part("projector", "halfway.P"),
            "projector.class_path: got 'halfway.P', whose module imports notthere, but there is no "
            "module notthere; install it, or correct the import",
        ),
        ("model: {class_path: halfway.P}", "model.class_path: got 'halfway.P', whose module impor"),
        (
            part("projector", "ownpart.MeanProjector"),
            r"got 'ownpart.MeanProjector', but there is no module ownpart \(looked beside you, .*"
            "did you mean ownparts",
        ),
        (
            part("projector", "ownparts.NoBase"),
            "projector.class_path: got 'ownparts.NoBase', which is no Projector, allowed: "
            "ownparts.MeanProjector; correct the class path",
        ),
        (
            part("optimizer", "ownparts.NoBase"),
            "optimizer.class_path: got 'ownparts.NoBase', which is no Optimizer, allowed: "
            "ownparts.Lion; correct the class path",
        ),
        (
            part("projector", "ownparts.MeanProjector", "{width: four}"),
            "model.init_args.projector.init_args.width: got four in .*, allowed: int; correct it",
        ),
        (
            part("optimizer", "torch.optim.AdamW", "{lr: fast}"),
            "model.init_args.optimizer.init_args.lr: got fast in .*, allowed: float, Tensor; corr",
        ),
        (
            "model: {class_path: ownparts.Weighted}",
            "model.init_args: got no factor, which ownparts.Weighted needs; write it there",
        ),
        (
            "processor: {init_args: {tokenizer: {class_path: mmlite.tokenizers.micro_tokeniser}}}",
            "which does not exist, .*did you mean mmlite.tokenizers.micro_tokenizer",
        ),
        (
            "processor: {init_args: {tokenizer: {class_path: ownparts.bare_tokenizer}}}",
            "a function that is not annotated to return a PreTrainedTokenizerBase, allowed: one "
            "that is; write -> PreTrainedTokenizerBase",
        ),
        (
            source("{class_path: ownparts.Sums}"),
            r"data.init_args.train\[0\]: got class_path 'ownparts.Sums', allowed: source, weight, "
            "limit, replay; write source: {class_path: ownparts.Sums}",
        ),
        (
            source("{source: {class_path: ownparts.Sumz}}"),
            r"train\[0\].source.class_path: got 'ownparts.Sumz', which does not exist, allowed: "
            "ownparts.Sums; did you mean ownparts.Sums",
        ),
        (
            source("{source: {class_path: ownparts.NoBase}}"),
            r"data.init_args.train\[0\].source.class_path: got 'ownparts.NoBase', which is no Sou.*"
            "allowed: ownparts.Sums; correct the class path",
        ),
    ],
)
def test_what_a_file_says_of_a_class(text, told, refused, mine):
    shown = refused([*RUN, *yaml_file(mine, f"{text}\n")])
    assert re.search(told, shown), shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "model: {class_path: ownparts.LossAlone}",
            r"iteration over a 0-d tensor \(at .*base.py:\d+; MMLITE_DEBUG=1 shows how it came the",
        ),
        (
            source("{source: {class_path: ownparts.Sums}}"),
            r"has no len\(\) \(at .*\.py:\d+; MMLITE_DEBUG=1 shows how it came there\)",
        ),
    ],
)
def test_a_class_that_gives_something_else_is_told_with_the_place(text, told, refused, mine):
    shown = refused([*LANGUAGE, *yaml_file(mine, f"{text}\n")], status=1)
    assert re.search(told, shown), shown
