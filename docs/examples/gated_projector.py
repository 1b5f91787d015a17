"""A new projector: does a gate help a small model to read image features?"""

from jaxtyping import Float
from torch import Tensor, nn

from mmlite.models import Projector


class GatedProjector(Projector):
    """One linear layer per patch, whose output is gated by another.

    Args:
        vision_dim: Size of a patch's features.
        text_dim: Size of a token's embedding.
        hidden_dim: Size between the layers.
    """

    def __init__(self, vision_dim: int, text_dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.gate = nn.Linear(vision_dim, hidden_dim)
        self.value = nn.Linear(vision_dim, hidden_dim)
        self.out = nn.Linear(hidden_dim, text_dim)

    def num_tokens(self, num_patches: int) -> int:
        """One token per patch."""
        return num_patches

    def forward(
        self, features: Float[Tensor, "tile patch vision_dim"]
    ) -> Float[Tensor, "tile image_token text_dim"]:
        """Gate, then project."""
        return self.out(self.gate(features).sigmoid() * self.value(features))
