"""Whether a network's operations give a voxel the same scores wherever in a window, of whatever size, it lies."""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn

# Instance norm, attention, squeeze and excitation look at the whole window; what is not listed is taken to
MODULES = (
    *(nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool2d, nn.AvgPool3d, nn.Upsample, nn.Softmax),
    *(nn.PReLU, nn.LeakyReLU, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.ELU, nn.Mish, nn.Sigmoid, nn.Tanh),
    *(nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d),
)
FUNCTIONS = (
    *(operator.add, operator.iadd, operator.sub, operator.mul, operator.imul, operator.truediv, operator.neg),
    *(torch.add, torch.sub, torch.mul, torch.div, torch.relu, torch.sigmoid, torch.tanh),
    *(F.relu, F.leaky_relu, F.prelu, F.silu, F.gelu, F.elu, F.sigmoid, F.tanh),
)
METHODS = ("add", "sub", "mul", "div", "relu", "sigmoid", "tanh", "float", "flip", "contiguous", "clone")
ALONG_CHANNELS = (torch.cat, torch.softmax, F.softmax, "softmax")


def is_placeless(graph: fx.GraphModule) -> bool:
    """Whether all operations of a graph are of kinds that look at a voxel's surroundings alone."""
    return all(_is_placeless(graph, node) for node in graph.graph.nodes)


def _is_placeless(graph: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return _is_placeless_module(graph.get_submodule(str(node.target)))
    if node.op == "get_attr":
        tensor = operator.attrgetter(str(node.target))(graph)
        return tensor.numel() == 1 or (tensor.ndim > 3 and set(tensor.shape[2:]) == {1})
    if node.op in ("call_function", "call_method"):
        if node.target in ALONG_CHANNELS:
            return 1 in (*node.args[1:2], node.kwargs.get("dim"))
        return node.target in (FUNCTIONS if node.op == "call_function" else METHODS)
    return True  # what comes in and goes out


def _is_placeless_module(module: nn.Module) -> bool:
    if isinstance(module, nn.Upsample):
        return module.size is None and not module.align_corners
    if isinstance(module, nn.Softmax):
        return module.dim == 1
    if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)) and module.running_mean is None:
        return False
    return type(module) in MODULES
