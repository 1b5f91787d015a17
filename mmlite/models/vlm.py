"""The vision-language model: image features take the place of placeholder tokens."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmlite.batch import IGNORE_INDEX, Batch, places_of
from mmlite.losses import chunked_token_loss
from mmlite.models.arrange import arrange
from mmlite.models.language import LanguageModel
from mmlite.models.projector import Projector
from mmlite.models.vision import VisionEncoder, encode_tiles
from mmlite.parallel import world_size


class VisionLanguageModel(nn.Module):
    """Vision encoder, projector and language model.

    embeddings = table[token], except where the token is the image token: there the projected
    features of the batch's tiles go, in order. The sequence keeps its length, so labels and masks
    need no surgery. A model without vision and projector is a plain language model.

    Args:
        language: The language model.
        vision: The vision encoder, or None.
        projector: The projector, or None.
        image_token_id: Id of the placeholder token.
    """

    def __init__(
        self,
        language: LanguageModel,
        vision: VisionEncoder | None = None,
        projector: Projector | None = None,
        *,
        image_token_id: int,
    ) -> None:
        super().__init__()
        if (vision is None) != (projector is None):
            raise ValueError(
                "model: got only one of vision and projector, allowed: both, or neither for a "
                "plain language model"
            )
        self.vision = vision
        self.projector = projector
        self.language = language
        self.image_token_id = image_token_id

    def encode_tiles(self, batch: Batch) -> Float[Tensor, "tile patch vision_dim"]:
        """Return the vision features of all tiles, encoding those that came as pixels."""
        assert self.vision is not None, "only called for batches with images"
        return encode_tiles(self.vision, batch)

    def embed(self, batch: Batch) -> Float[Tensor, "batch token text_dim"]:
        """Return token embeddings with image features in their places."""
        embeddings = self.language.embed(batch.input_ids)
        if not len(batch.tile_order):
            return self._with_unseen(embeddings, batch)
        if self.vision is None or self.projector is None:
            raise ValueError(
                f"model: got a batch with {len(batch.tile_order)} image tiles, but the model has "
                "no vision encoder; allowed: text only, or give model.vision and model.projector"
            )
        tiles = self.projector(self._in_type_of_weights(self.encode_tiles(batch)))
        tokens = arrange(tiles, batch.layouts, self.projector.image_newline)
        places = batch.image_places
        if places is None:
            places = places_of(batch.input_ids == self.image_token_id)
        if len(places) != len(tokens):
            raise ValueError(
                f"model: got {len(places)} image tokens for {tiles.shape[0]} tiles of "
                f"{tiles.shape[1]} tokens, allowed: as many tokens as the tiles have; set "
                f"processor.tokens_per_tile to {tiles.shape[1]}"
            )
        # Places, not a mask: the gradient of what a mask scatters waits for the device.
        filled = embeddings.flatten(0, 1).index_copy(0, places, tokens.to(embeddings.dtype))
        return filled.view_as(embeddings)

    def _in_type_of_weights(
        self, features: Float[Tensor, "tile patch vision_dim"]
    ) -> Float[Tensor, "tile patch vision_dim"]:
        """Return features in the projector's type: cached ones have that of another run."""
        assert self.projector is not None, "only called for batches with images"
        if torch.is_autocast_enabled(features.device.type):
            return features
        weights = (p for p in self.projector.parameters() if not hasattr(p, "quant_state"))
        weight = next((p for p in weights if p.is_floating_point()), None)
        return features if weight is None else features.to(weight.dtype)

    def _with_unseen(
        self, embeddings: Float[Tensor, "batch token text_dim"], batch: Batch
    ) -> Float[Tensor, "batch token text_dim"]:
        """Run vision and projector on a grey tile that counts for nothing.

        Of several processes, one may draw a batch of text alone while another has images. All must
        run the same modules, or their gradients and shards wait for each other for ever; and one
        process does the same, so that it trains the same model.
        """
        is_shared = torch.is_grad_enabled() or world_size() > 1
        if self.vision is None or self.projector is None or not is_shared:
            return embeddings
        tile = batch.pixels.new_zeros(1, *batch.pixels.shape[1:])
        unseen = self.projector(self._in_type_of_weights(self.vision(tile))).sum()
        if self.projector.image_newline is not None:
            unseen = unseen + self.projector.image_newline.sum()
        return embeddings + 0 * unseen

    def forward(
        self,
        batch: Batch,
        *,
        loss_chunk_tokens: int | None = None,
        is_loss_compiled: bool = False,
    ) -> tuple[Float[Tensor, "*logits"], Int[Tensor, " supervised"]]:
        """Return the logits and targets of supervised tokens; the head runs on nothing else.

        Args:
            batch: What the model learns from.
            loss_chunk_tokens: If given, the summed loss is returned instead of the logits, which
                are made and used up so many tokens at a time (`mmlite.losses.chunked_token_loss`).
            is_loss_compiled: Whether that loss is compiled.
        """
        embeddings = self.embed(batch)
        mask = batch.attention_mask
        # Packed examples are told apart by their positions, which a mask would hide.
        is_packed = batch.position_ids is not None
        if is_packed or not (batch.pads_left or self.language.needs_mask(embeddings)):
            mask = None
        hidden = self.language(embeddings, mask, batch.position_ids)
        if batch.supervised is None:
            targets = batch.labels[:, 1:]
            is_learnt = targets != IGNORE_INDEX
            states, wanted = hidden[:, :-1][is_learnt], targets[is_learnt]
        else:
            states = hidden.flatten(0, 1)[batch.supervised]
            wanted = batch.labels.flatten()[batch.supervised + 1]
        if loss_chunk_tokens is None:
            return self.language.logits(states), wanted
        total, _ = chunked_token_loss(
            states,
            wanted,
            head=self.language.logits,
            parameters=list(self.language.head.parameters()),
            chunk_tokens=loss_chunk_tokens,
            is_compiled=is_loss_compiled,
        )
        return total, wanted
