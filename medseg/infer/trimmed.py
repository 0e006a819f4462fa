"""A network whose last layers run only where a window's result is used: at full resolution they cost the most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import fx, nn

from medseg.infer.subpixel import Subpixel

Span = tuple[int, int]  # from, to along one axis, in voxels


class Trimmed(nn.Module):
    """`body` on the whole window, then the chain of layers `head` on the part that `region` needs.

    Its results are those of the whole window within the region: each layer's own reach is computed beside it, and
    a window's border stays the border it was.
    """

    def __init__(self, body: nn.Module, head: Sequence[nn.Module]) -> None:
        super().__init__()
        self.body, self.head = body, nn.ModuleList(head)

    def forward(self, windows: torch.Tensor, region: Sequence[Span] | None = None) -> torch.Tensor:
        """Return the scores of `windows` (B, channels, …), or of the `region` of each, a span an axis."""
        values = self.body(windows)
        if region is None:
            return self._run(values)
        needed = [
            self._needed(span, axis, size)
            for axis, (span, size) in enumerate(zip(region, windows.shape[2:], strict=True))
        ]
        for axis, ((low, high), _) in enumerate(needed):
            values = values.narrow(2 + axis, low, high - low)
        scores = self._run(values.contiguous(memory_format=_layout(values)))
        for axis, ((low, high), (_, first)) in enumerate(zip(region, needed, strict=True)):
            scores = scores.narrow(2 + axis, low - first, high - low)
        return scores

    def _run(self, values: torch.Tensor) -> torch.Tensor:
        for layer in self.head:
            values = layer(values)
        return values

    def _needed(self, span: Span, axis: int, size: int) -> tuple[Span, int]:
        """Return the voxels of the head's input that `span` of its output needs, and the output of the first."""
        (low, high), scale = span, 1
        for layer in reversed(self.head):
            step, reach = _step(layer, axis), _reach(layer, axis)
            size, scale = size // step, scale * step
            low, high = max((low - reach) // step, 0), min((high + reach - 1) // step + 1, size)
        return (low, high), low * scale


def trimmed(network: fx.GraphModule) -> nn.Module:
    """Return `network` as `Trimmed` if a chain of convolutions and activations ends it, else as it is."""
    (output,) = [node for node in network.graph.nodes if node.op == "output"]
    node = output.args[0]
    head: list[nn.Module] = []
    while isinstance(node, fx.Node) and (layer := _as_layer(network, node)) is not None:
        head.insert(0, layer)
        node = node.args[0]
    if not isinstance(node, fx.Node) or not any(_reach(layer, 0) for layer in head):
        return network
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    graph.graph_copy(network.graph, copies)
    graph.output(copies[node])
    body = fx.GraphModule(network, graph)
    body.graph.eliminate_dead_code()
    body.recompile()
    return Trimmed(body, head)


class _LeakyReLU(nn.Module):
    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(values, self.slope, inplace=True)


def _as_layer(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return a node as a layer whose reach is known; None where that is not, or others use its input."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or len(source.users) > 1:
        return None
    if node.target is F.leaky_relu:
        return _LeakyReLU(float(node.args[1]))  # type: ignore[arg-type]
    if node.op != "call_module":
        return None
    module = network.get_submodule(str(node.target))
    if isinstance(module, Subpixel):
        return module
    if not isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return None
    axes = range(len(module.kernel_size))
    centred = all(2 * int(module.padding[n]) == 2 * _reach(module, n) and module.kernel_size[n] % 2 for n in axes)
    if module.padding_mode != "zeros" or not centred:
        return None
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        return module if set(module.stride) == {1} else None
    whole = all(o == s - 1 and s in (1, 2) for o, s in zip(module.output_padding, module.stride, strict=True))
    return module if whole else None


def _step(layer: nn.Module, axis: int) -> int:
    """Return how many voxels a layer makes of one."""
    if isinstance(layer, Subpixel):
        return 2
    return layer.stride[axis] if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)) else 1


def _reach(layer: nn.Module, axis: int) -> int:
    """Return how many voxels of its result beside a voxel a layer's input may lie."""
    if isinstance(layer, Subpixel):
        return 1
    if isinstance(layer, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        return layer.dilation[axis] * (layer.kernel_size[axis] // 2)
    return 0


def _layout(values: torch.Tensor) -> torch.memory_format:
    return torch.channels_last if values.ndim == 4 else torch.channels_last_3d
