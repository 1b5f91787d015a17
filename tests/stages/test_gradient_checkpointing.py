"""Activations that are computed again: the same loss, the same gradients, less kept."""

import pytest
import torch
from tiny import TinyData, tiny_processor, tiny_stage, tiny_trainer

from mmlite.stages import CaptionAlignment, ExtractionTuning

PARTS = ["vision", "language"]


def built(*, checkpointing, kind=ExtractionTuning, **arguments):
    torch.manual_seed(0)
    stage = tiny_stage(kind, gradient_checkpointing=PARTS if checkpointing else None, **arguments)
    stage.configure_model()
    return stage


def batch():
    processor = tiny_processor()
    return next(iter(TinyData(processor, number=6, batch_size=6).train_dataloader()))


def kept_bytes(stage):
    """Return the loss of a batch, and the bytes of tensors kept for its backward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = stage.loss(batch())
    return loss, sum(kept.values())


@pytest.mark.parametrize(
    ("kind", "trainable"),
    [(ExtractionTuning, ["vision", "projector", "language"]), (CaptionAlignment, None)],
)
def test_loss_and_gradients_are_the_same_and_less_is_kept(kind, trainable):
    found = {}
    for checkpointing in (False, True):
        stage = built(checkpointing=checkpointing, kind=kind, trainable=trainable)
        stage.on_train_epoch_start()  # puts what is trained into training mode
        loss, kept = kept_bytes(stage)
        loss.backward()
        gradients = {name: p.grad for name, p in stage.built.named_parameters()}
        found[checkpointing] = (loss, gradients, kept)
    (loss, gradients, kept), (again, their, less) = found[False], found[True]
    assert torch.equal(loss, again)
    assert gradients.keys() == their.keys()
    for name, gradient in gradients.items():
        assert (gradient is None) == (their[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(their[name], gradient, msg=name)
    assert less < 0.7 * kept


def test_trained_weights_keep_their_names(tmp_path):
    weights = {}
    for checkpointing in (False, True):
        stage = built(checkpointing=checkpointing)
        data = TinyData(stage.processor, number=6, batch_size=3)
        tiny_trainer(tmp_path / str(checkpointing), max_steps=2).fit(stage, data)
        weights[checkpointing] = {k: v.clone() for k, v in stage.built.state_dict().items()}
    assert weights[True].keys() == weights[False].keys()
    for name, tensor in weights[False].items():
        torch.testing.assert_close(weights[True][name], tensor, msg=name)


def test_all_names_every_part_and_only_whole_blocks_are_computed_again():
    stage = tiny_stage(gradient_checkpointing=["all"])
    stage.configure_model()
    assert stage.gradient_checkpointing == ("vision", "projector", "language")
    again = [m for m in stage.built.modules() if "forward" in vars(m)]
    assert len(again) == 3  # two blocks of the language model, one of the encoder


@pytest.mark.parametrize("wrong", ["langauge", "all"])
def test_an_unknown_part_is_refused(wrong):
    stage = tiny_stage(gradient_checkpointing=[wrong, "vision"])
    message = rf"checkpointing: got \['{wrong}'\], allowed: vision, .*language; or all by itself"
    with pytest.raises(ValueError, match=message):
        stage.configure_model()
