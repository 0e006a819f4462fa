"""A network over an image: sliding windows, blending, bfloat16, memory, and labels on the image's own grid."""

from medseg.infer.components import (
    count_components,
    find_components,
    keep_largest_component,
)
from medseg.infer.device import channels_last, choose_device, fast_dtype
from medseg.infer.inferers import SlidingWindowInferer, window_inferer
from medseg.infer.native import native_labels
from medseg.infer.out_of_memory import retry_if_out_of_memory
from medseg.infer.postprocess import COMPONENTS, LargestComponentd, ToNativeLabelsd, structures, to_native_labels
from medseg.infer.sample_norm import use_sample_norms
from medseg.infer.segmentation import Segmentation, label_image
from medseg.infer.simple_inferer import SimpleInferer

__all__ = [
    "COMPONENTS",
    "LargestComponentd",
    "Segmentation",
    "SimpleInferer",
    "SlidingWindowInferer",
    "ToNativeLabelsd",
    "channels_last",
    "choose_device",
    "count_components",
    "fast_dtype",
    "find_components",
    "keep_largest_component",
    "label_image",
    "native_labels",
    "retry_if_out_of_memory",
    "structures",
    "to_native_labels",
    "use_sample_norms",
    "window_inferer",
]
