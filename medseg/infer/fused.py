"""Neighbouring layers of a network folded into one: the same results in fewer passes over memory."""

from __future__ import annotations

import inspect
import operator
from collections import Counter

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from medseg.infer.tracing import traced

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d)


def folded(network: nn.Module) -> nn.Module:
    """Return `network` with its layers folded.

    Batch norm goes into the convolution before it, a one-parameter PReLU becomes a leaky ReLU in place, and a
    block's sum with its own input becomes a centre tap of its one convolution. Where operations depend on values,
    or a layer is called more than once as in an ensemble, the parts of the network are folded each by itself.

    The network's modules are changed, and its weights are not: folded ones are new. Modules of other types than
    exactly these are left alone. The result is to be checked, since a graph holds what was done in one call.
    """
    graph = traced(network)
    if graph is None or _is_repeated(graph):
        return folded_in_parts(network)
    for node in calls(graph):
        _fold_module(graph, node)
    for node in list(graph.graph.nodes):
        if node.target in (operator.add, torch.add) or (node.op == "call_method" and node.target == "add"):
            _fold_sum(graph, node)
    graph.graph.lint()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def folded_in_parts(network: nn.Module) -> nn.Module:
    """Return `network` with those of its parts folded that are called with one input."""
    for name, child in list(network.named_children()):
        is_called = type(child).forward is not nn.Module.forward  # a list of modules is not
        if (
            is_called
            and len(inspect.signature(child.forward).parameters) == 1
            and any(True for _ in child.children())
        ):
            setattr(network, name, folded(child))
        else:
            folded_in_parts(child)
    return network


def calls(graph: fx.GraphModule) -> list[fx.Node]:
    """Return the nodes that call a module."""
    return [node for node in graph.graph.nodes if node.op == "call_module"]


def module_of(graph: fx.GraphModule, node: object) -> nn.Module | None:
    """Return the module that a node calls with one argument and nothing else; None for any other node."""
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.args) != 1 or node.kwargs:
        return None
    return graph.get_submodule(str(node.target))


def _is_repeated(graph: fx.GraphModule) -> bool:
    """Whether a convolution or batch norm is called more than once, or its weight taken by another operation."""
    modules = [graph.get_submodule(str(node.target)) for node in calls(graph)]
    counts = Counter(id(module) for module in modules if isinstance(module, (*CONVOLUTIONS, *BATCH_NORMS)))
    taken = {str(node.target).rpartition(".")[0] for node in graph.graph.nodes if node.op == "get_attr"}
    return max(counts.values(), default=0) > 1 or bool(taken & {str(node.target) for node in calls(graph)})


def _fold_module(graph: fx.GraphModule, node: fx.Node) -> None:
    module = module_of(graph, node)
    source = node.args[0] if node.args else None
    if module is None or not isinstance(source, fx.Node):
        return
    alone, before = len(source.users) == 1, module_of(graph, source)
    if type(module) in IDLE:
        _replace(node, source)
    elif type(module) in BATCH_NORMS and type(before) in CONVOLUTIONS and alone:
        if _fold_batch_norm(before, module):  # type: ignore[arg-type]
            _replace(node, source)
    elif type(module) is nn.PReLU and module.weight.numel() == 1:
        in_place = alone and isinstance(before, (*CONVOLUTIONS, *BATCH_NORMS))
        with graph.graph.inserting_after(node):
            leaky = graph.graph.call_function(F.leaky_relu, (source, float(module.weight.detach()), in_place))
        _replace(node, leaky)


def _fold_batch_norm(conv: nn.Conv3d, norm: nn.BatchNorm3d) -> bool:
    """Fold a norm into the convolution before it, if it does not take each batch's own statistics."""
    transpose = isinstance(conv, TRANSPOSED)
    if norm.running_mean is None or norm.running_var is None or (transpose and conv.groups > 1):
        return False
    conv.weight, conv.bias = fuse_conv_bn_weights(
        *(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias),
        transpose=transpose,
    )
    return True


def _fold_sum(graph: fx.GraphModule, node: fx.Node) -> None:
    """Turn conv(x) + x into one convolution: 1 is added to the middle of each channel's own kernel."""
    if len(node.args) != 2 or node.kwargs:
        return
    for conv, same in (node.args, node.args[::-1]):
        module = module_of(graph, conv)
        if module is None or conv.args[0] is not same or len(conv.users) != 1:  # type: ignore[union-attr]
            continue
        if type(module) in (nn.Conv2d, nn.Conv3d) and _keeps_shape(module):  # type: ignore[arg-type]
            weight = module.weight.detach().clone()  # type: ignore[operator]
            middle = tuple(n // 2 for n in module.kernel_size)  # type: ignore[union-attr]
            for channel in range(len(weight)):
                weight[(channel, channel, *middle)] += 1
            module.weight = nn.Parameter(weight, requires_grad=False)
            _replace(node, conv)  # type: ignore[arg-type]
            return


def _keeps_shape(conv: nn.Conv2d | nn.Conv3d) -> bool:
    """Whether a convolution gives as many channels and voxels as it takes, each in the middle of its kernel."""
    if conv.groups != 1 or conv.in_channels != conv.out_channels or any(n % 2 == 0 for n in conv.kernel_size):
        return False
    middles = tuple(d * (n // 2) for d, n in zip(conv.dilation, conv.kernel_size, strict=True))
    return set(conv.stride) == {1} and conv.padding in ("same", middles)


def _replace(node: fx.Node, by: fx.Node) -> None:
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)
