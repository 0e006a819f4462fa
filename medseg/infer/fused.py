"""A copy of a network that gives the same results in fewer passes over memory."""

from __future__ import annotations

import contextlib
import copy
import operator
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from medseg.infer.device import LAYOUTS
from medseg.infer.subpixel import Subpixel, fits
from medseg.networks import spatial_dims_of

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# What gives the same result wherever in the volume a window lies; instance norm, say, looks at the whole window
PLACELESS = (
    *CONVOLUTIONS,
    *(nn.BatchNorm2d, nn.BatchNorm3d, nn.PReLU, nn.LeakyReLU, nn.ReLU, nn.Identity, nn.Dropout, nn.Dropout2d),
    *(nn.Dropout3d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool2d, nn.AvgPool3d, nn.SiLU, nn.GELU, nn.ELU),
)
SAME_SCORES = 1e-3  # of the largest score; fused sums are rounded in another order


_kept: WeakKeyDictionary[nn.Module, dict[tuple, tuple[tuple, nn.Module]]] = WeakKeyDictionary()


def fused(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Return a copy of `network` for inference on `device` in `dtype`, kept until the network's weights change.

    Batch norm goes into the convolution before it, a one-parameter PReLU becomes a leaky ReLU in place, a block's
    sum with its own input becomes a centre tap of its one convolution, and weights lie channels last. A network
    that cannot be traced, or does not give the same scores then, is only cast and laid out.
    """
    state = tuple((t.data_ptr(), t._version) for t in (*network.parameters(), *network.buffers()))
    copies = _kept.setdefault(network, {})
    key = (device, dtype)
    if key not in copies or copies[key][0] != state:
        original = copy.deepcopy(network).eval().requires_grad_(False)
        made = _fuse(copy.deepcopy(original))
        if not _same(made, original):
            made = original
        elif dtype == torch.bfloat16 and device.type == "cpu":
            _use_subpixels(made)
        if device.type == "cpu":
            _use_sample_norms(made)
        copies[key] = (state, _lay_out(made).to(device=device, dtype=dtype))
    return copies[key][1]


def is_placeless(network: nn.Module) -> bool:
    """Whether a voxel's result depends on its surroundings alone, not on the window they were seen through."""
    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    return all(isinstance(leaf, PLACELESS) for leaf in leaves)


def _lay_out(network: nn.Module) -> nn.Module:
    return network.to(memory_format=LAYOUTS[spatial_dims_of(network)])  # type: ignore[call-overload]


def _same(made: nn.Module, original: nn.Module) -> bool:
    """Whether two networks give the same scores: tracing takes the branch of a forward that a stand-in takes."""
    first = next((m for m in original.modules() if isinstance(m, CONVOLUTIONS)), None)
    if made is original or first is None:
        return made is original
    device = first.weight.device
    generator = torch.Generator(device).manual_seed(0)
    for size in (32, 64, 128):  # the smallest that all of its levels can halve
        shape = (1, first.in_channels, *(size,) * (first.weight.ndim - 2))
        image = torch.randn(shape, generator=generator, device=device)
        with contextlib.suppress(Exception), torch.inference_mode():
            expected = original(image)
            scale = float(expected.abs().max())
            try:
                return bool((made(image) - expected).abs().max() <= SAME_SCORES * scale)
            except RuntimeError:
                return False
    return False


def _fuse(network: nn.Module) -> nn.Module:
    try:
        graph = fx.symbolic_trace(network)
    except Exception:  # control flow that depends on values: fx names a dozen kinds of error
        return network
    for node in list(graph.graph.nodes):
        if node.op == "call_module":
            _fuse_module(graph, node)
    for node in list(graph.graph.nodes):
        if node.target in (operator.add, torch.add) or (node.op == "call_method" and node.target == "add"):
            _fuse_sum(graph, node)
    graph.graph.lint()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def _fuse_module(graph: fx.GraphModule, node: fx.Node) -> None:
    module, source = graph.get_submodule(str(node.target)), node.args[0]
    assert isinstance(source, fx.Node)
    alone = len(source.users) == 1
    before = graph.get_submodule(str(source.target)) if source.op == "call_module" else None
    if isinstance(module, (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d)):
        _replace(graph, node, source)
    elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)) and isinstance(before, CONVOLUTIONS) and alone:
        mean, variance = module.running_mean, module.running_var
        if mean is None or variance is None:  # it takes each batch's own: nothing to fold
            return
        before.weight, before.bias = fuse_conv_bn_weights(
            *(before.weight, before.bias, mean, variance, module.eps, module.weight, module.bias),
            transpose=isinstance(before, (nn.ConvTranspose2d, nn.ConvTranspose3d)),
        )
        _replace(graph, node, source)
    elif isinstance(module, nn.PReLU) and module.weight.numel() == 1:
        with graph.graph.inserting_after(node):
            in_place = alone and source.op == "call_module"
            leaky = graph.graph.call_function(F.leaky_relu, (source, float(module.weight), in_place))
        _replace(graph, node, leaky)


def _fuse_sum(graph: fx.GraphModule, node: fx.Node) -> None:
    """Turn conv(x) + x into one convolution: 1 is added to the middle of each channel's own kernel."""
    for conv, same in (node.args[:2], node.args[1::-1]):
        if not isinstance(conv, fx.Node) or conv.op != "call_module" or conv.args[0] is not same:
            continue
        module = graph.get_submodule(str(conv.target))
        if isinstance(module, (nn.Conv2d, nn.Conv3d)) and len(conv.users) == 1 and module.groups == 1:
            middle = tuple(n // 2 for n in module.kernel_size)
            for channel in range(module.out_channels):
                module.weight[(channel, channel, *middle)] += 1
            _replace(graph, node, conv)
            return


class SampleNorm(nn.Module):
    """Instance norm as batch norm of one sample at a time: the same numbers, and the channels stay last."""

    def __init__(self, norm: nn.InstanceNorm2d | nn.InstanceNorm3d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        samples = [
            F.batch_norm(one, None, None, self.weight, self.bias, training=True, eps=self.eps)
            for one in inputs.split(1)
        ]
        return samples[0] if len(samples) == 1 else torch.cat(samples)


def _use_sample_norms(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        if isinstance(module, (nn.InstanceNorm2d, nn.InstanceNorm3d)) and not module.track_running_stats:
            network.set_submodule(name, SampleNorm(module))


def _use_subpixels(network: nn.Module) -> None:
    if isinstance(network, fx.GraphModule):
        for node in list(network.graph.nodes):
            if node.op == "call_module":
                _use_subpixel(network, node)


def _use_subpixel(graph: fx.GraphModule, node: fx.Node) -> None:
    """Exchange a transposed convolution, and widen the convolution that follows if a channel of zeros came in."""
    module, users = graph.get_submodule(str(node.target)), list(node.users)
    if not fits(module):
        return
    follower = users[0] if len(users) == 1 else None
    if follower is not None and follower.target is F.leaky_relu and len(follower.users) == 1:
        follower = next(iter(follower.users))
    after = graph.get_submodule(str(follower.target)) if follower and follower.op == "call_module" else None
    if not isinstance(after, nn.Conv3d) or after.groups != 1 or after.padding_mode != "zeros":
        return
    swapped = Subpixel(module)  # type: ignore[arg-type]
    graph.set_submodule(str(node.target), swapped)
    missing = swapped.channels - after.in_channels
    after.weight = nn.Parameter(F.pad(after.weight, (0, 0, 0, 0, 0, 0, 0, missing)), requires_grad=False)
    after.in_channels += missing


def _replace(graph: fx.GraphModule, node: fx.Node, by: fx.Node) -> None:
    node.replace_all_uses_with(by)
    graph.graph.erase_node(node)
