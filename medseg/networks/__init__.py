"""Networks from a few plain numbers, an architecture a file; ensembles of them and of mirrored images."""

from medseg.networks.build import ARCHITECTURES, build
from medseg.networks.dimensions import spatial_dims_of
from medseg.networks.levels import levels_from_input
from medseg.networks.mirrored_ensemble import Ensemble
from medseg.networks.plain_unet import PlainUNet, dynunet
from medseg.networks.residual_unet import halvings, unet

__all__ = [
    "ARCHITECTURES",
    "Ensemble",
    "PlainUNet",
    "build",
    "dynunet",
    "halvings",
    "levels_from_input",
    "spatial_dims_of",
    "unet",
]
