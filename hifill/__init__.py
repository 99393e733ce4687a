"""HiFill: Contextual Residual Aggregation for Ultra High-Resolution Image Inpainting (CVPR 2020)."""

from hifill.config import CONFIGS, PAPER, RELEASE, SMALL, HiFillConfig
from hifill.model import HiFill
from hifill.release import load_release, load_release_discriminator
