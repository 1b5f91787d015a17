"""One part's weights out of a checkpoint in any known layout."""

from dataclasses import dataclass

from torch import Tensor

from mmlite.published.files import WeightFiles
from mmlite.published.names import LAYOUTS, SIGLIP, Layout, find_layout
from mmlite.published.siglip import siglip_to_timm


@dataclass(frozen=True, slots=True)
class PartWeights:
    """Weights of one part.

    Attributes:
        tensors: By the names that the part's module has.
        layout: Another program's layout they came in; None for a run of ours.
    """

    tensors: dict[str, Tensor]
    layout: Layout | None


def part_weights(files: WeightFiles, part: str) -> PartWeights:
    """Return the weights of one part under the names that its module has.

    Args:
        files: The checkpoint.
        part: `vision`, `projector` or `language`.

    Raises:
        ValueError: If it has nothing of that part, or its names are of no known layout.
    """
    layout = None if files.is_run else find_layout(files.names)
    place = layout.place if layout else _by_prefix
    places = {name: place(name) for name in files.names}
    mine = {name: ours for name, (owner, ours) in places.items() if owner == part}
    if not mine:
        held = sorted({owner for owner, _ in places.values() if owner})
        known = "" if layout else f"; or names as in {'; '.join(lay.name for lay in LAYOUTS)}"
        raise ValueError(
            f"init_from.{part}: {files.path} has no weights of {part}, allowed: "
            f"{', '.join(held[:8])}{known}"
        )
    found = {mine[name]: tensor for name, tensor in files.read(mine).items()}
    siglip = {n.removeprefix(SIGLIP): t for n, t in found.items() if n.startswith(SIGLIP)}
    if not siglip:
        return PartWeights(found, layout)
    # Contract: TimmVision keeps timm's model as `encoder`.
    timm = {f"encoder.{name}": tensor for name, tensor in siglip_to_timm(siglip).items()}
    return PartWeights(timm, layout)


def _by_prefix(name: str) -> tuple[str, str]:
    """Return part and name of a run's weights, which are named by part."""
    part, _, rest = name.partition(".")
    return part, rest
