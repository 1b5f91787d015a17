"""Features of a frozen encoder: read from the cache of the processor, or encoded and kept there."""

import torch
from torch import nn

from mmlite.batch import Batch
from mmlite.features import FeatureCache
from mmlite.models.fingerprint import weights_fingerprint


def open_cache(cache: FeatureCache | None, encoder: nn.Module | None, *, precision: str) -> None:
    """Open a cache for an encoder.

    Args:
        cache: Of the processor.
        encoder: Whose features are kept; None closes the cache.
        precision: Of the trainer. With a mixed one features are computed in fewer digits than the
            weights have, and are others.
    """
    if cache is None:
        return
    if encoder is None:
        cache.close()
        return
    of_weights = weights_fingerprint(encoder)
    cache.open(f"{of_weights}-{precision}" if "mixed" in precision else of_weights)


def with_features(batch: Batch, cache: FeatureCache | None, encoder: nn.Module | None) -> Batch:
    """Encode the tiles of a batch that have no features yet, and keep these in the cache.

    Args:
        batch: What is learnt from.
        cache: Of the processor; a closed one, or None, leaves encoding to the model.
        encoder: Frozen.
    """
    if cache is None or encoder is None or not cache.is_open or not len(batch.pixels):
        return batch
    with torch.no_grad():
        encoded = encoder(batch.pixels)
    cache.put(batch.pixel_keys, encoded)
    return batch.with_features(encoded)
