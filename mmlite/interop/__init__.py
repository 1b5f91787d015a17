"""At home elsewhere: models of others play a role here, and ours leave for other programs."""

from mmlite.interop.causal import CausalModel as CausalModel
from mmlite.interop.image_text import ImageTextEngine as ImageTextEngine
from mmlite.interop.models import ImageTextModel as ImageTextModel
from mmlite.interop.models import PublishedModel as PublishedModel
