"""Speed: the switches of a stage that change its time and memory, and no result.

Others live with what they change: `fused` is an argument of PyTorch's optimizers, gradient
checkpointing of the language model, the cache of frozen features of the processor, the length
groups of a batch of the data module. `docs/performance.md` says when each pays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from mmlite.models.norms import fuse_norms
from mmlite.models.rotary import fuse_rotary
from mmlite.parallel import checkpoint_blocks, compile_blocks


@dataclass(frozen=True)  # no slots: the command line reads defaults with vars()
class Speed:
    """Switches that change how long a stage takes and what memory it needs.

    Attributes:
        loss_chunk_tokens: Supervised tokens whose logits exist at a time; null: those of the whole
            batch. With the 151,936 tokens of Qwen3, 1024 tokens are 0.6 GB of float32 logits.
        compile: Whether transformer blocks are compiled (`torch.compile`), one by one, and with
            `loss_chunk_tokens` the loss of large logits too (`mmlite.losses`). The first steps take
            longer, and every step later is shorter.
        compile_dynamic: Whether they are compiled for batches of any size at once (`dynamic` of
            `torch.compile`): where sizes differ, that saves compiling twice or three times. Null:
            for the first size, and for any when others come; packed rows have one size where they
            are padded whole (`data.init_args.budget`: `pad_multiple` as large as `pack_tokens`).
            Encoders are always compiled for any number of tiles, and the loss for any number of
            tokens once a second one has come.
        fused_norms: Whether root-mean-square norms take fewer passes and keep less for the backward
            pass (`mmlite.models.norms`). Compiled blocks fuse them by themselves.
        fused_rotary: Whether rotary positions take fewer passes (`mmlite.models.rotary`). Compiled
            blocks fuse them too.
    """

    loss_chunk_tokens: int | None = None
    compile: bool = False
    compile_dynamic: bool | None = None
    fused_norms: bool = False
    fused_rotary: bool = False

    def __post_init__(self) -> None:
        if self.loss_chunk_tokens is not None and self.loss_chunk_tokens < 1:
            raise ValueError(
                f"model.init_args.speed.loss_chunk_tokens: got {self.loss_chunk_tokens}, allowed: "
                "1 or more, or null for all tokens at once"
            )
        if self.compile_dynamic is not None and not self.compile:
            raise ValueError(
                f"model.init_args.speed.compile_dynamic: got {str(self.compile_dynamic).lower()} "
                "without compile, allowed: null, or speed.compile true"
            )

    def arrange(self, parts: Mapping[str, nn.Module], checkpointed: Sequence[str]) -> None:
        """Change how parts compute, and never what: nothing here needs their weights.

        Args:
            parts: By name; changed in place.
            checkpointed: Names of parts whose activations are computed again.
        """
        switches = {"fused_norms": fuse_norms, "fused_rotary": fuse_rotary}
        for name, fuse in switches.items():
            if getattr(self, name) and not sum(fuse(part) for part in parts.values()):
                rank_zero_warn(
                    f"model.init_args.speed.{name} changes nothing here: no module of "
                    f"{', '.join(parts)} has the formula that it knows; leave it out"
                )
        for name in checkpointed:
            checkpoint_blocks(parts[name])

    def compile_parts(self, parts: Mapping[str, nn.Module]) -> None:
        """Compile the blocks of parts, where that is asked for; after all else but sharding.

        Args:
            parts: By name; changed in place.
        """
        if not self.compile:
            return
        for name, part in parts.items():
            is_vision = name == "vision"  # no two batches have as many tiles
            compile_blocks(part, dynamic=is_vision or self.compile_dynamic)
