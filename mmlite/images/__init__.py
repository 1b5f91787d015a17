"""Images: reading them safely, and cutting them into normalised tiles. No torch."""

from mmlite.images.anyres import AnyRes as AnyRes
from mmlite.images.reading import MAX_IMAGE_PIXELS as MAX_IMAGE_PIXELS
from mmlite.images.reading import image_bytes as image_bytes
from mmlite.images.reading import image_key as image_key
from mmlite.images.reading import image_size as image_size
from mmlite.images.reading import open_image as open_image
from mmlite.images.reading import resolve_inside as resolve_inside
from mmlite.images.timm_image import timm_image as timm_image
from mmlite.images.transform import ImageTransform as ImageTransform
