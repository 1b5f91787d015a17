"""Published checkpoints: reading weights that other programs wrote, part by part."""

from mmlite.published.files import WeightFiles as WeightFiles
from mmlite.published.names import LAYOUTS as LAYOUTS
from mmlite.published.names import Layout as Layout
from mmlite.published.names import find_layout as find_layout
from mmlite.published.parts import PartWeights as PartWeights
from mmlite.published.parts import part_weights as part_weights
from mmlite.published.siglip import siglip_to_timm as siglip_to_timm
from mmlite.published.siglip import timm_to_siglip as timm_to_siglip
