"""medseg's metrics as a MONAI metric and an ignite handler: training reports the numbers that evaluation does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric
from monai.metrics.utils import prepare_spacing

from medseg.cases import Regions, painted_ids, painted_masks
from medseg.errors import InputError
from medseg.evaluation.comparison import compare_regions
from medseg.evaluation.summary import summarize
from medseg.geometry import spacing_mm_of
from medseg.infer import keep_largest_component, structures
from medseg.metrics import check_metrics

VALIDATED = ("dice", "hd95_mm")


class SegmentationMetric(CumulativeIterationMetric):
    """`medseg.metrics.compare` of every case, kept until `aggregate`; distances in mm.

    Called as MONAI's metrics are: ``metric(y_pred, y)`` with batch-first tensors (B, C, I, J[, K]) or lists of
    channel-first ones, on any device. One channel is a label map; several are scores or one-hot, of which the best
    one is the label: channel 0 is background and channel i is label i. It returns a float64 tensor (B, labels,
    metrics) on the CPU, NaN where there is no value.

    Distances need the size of a voxel: that of the affine of `y`, or of `y_pred`, if it is a `MetaTensor`, unless
    ``spacing=`` is given as to MONAI's metrics: mm as a number, one for each axis, or a list of these by case. A
    `MetaTensor` made without an affine says 1 mm.

    Parameters
    ----------
    labels
        ``{id: name}``, as a bundle's ``channel_def``, or ids. 0 is background and left out.
    metrics
        Names from `medseg.metrics.METRICS`, all but ``ece``; ``dice`` is added where it is not among them.
    largest_component
        Labels of which only the largest connected component of the prediction is kept, as postprocessing does.
    regions
        Of a network whose channels are logits of overlapping regions: their ids by name, in the channels' order;
        these are compared in place of `labels`, each under the id it is painted with.
    ignore_label
        Id of the reference's voxels that are background in both maps, whatever was predicted.
    settings
        ``hd95``, ``tolerance_mm``, ``beta``, ``boundary_width_mm`` of `medseg.metrics.compare`.

    Raises
    ------
    ValueError
        An unknown metric, no label, or two of one name. When called: no spacing, a shape or number of channels
        that does not fit, one-hot channels that overlap, or one channel with other than whole numbers.
    """

    def __init__(
        self,
        labels: Mapping[int | str, str] | Sequence[int],
        *,
        metrics: Sequence[str] = VALIDATED,
        largest_component: Sequence[int | Sequence[int]] = (),
        regions: Regions | None = None,
        ignore_label: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        check_metrics(metrics)
        self.regions, self.ignore_label = regions or {}, ignore_label
        ids = painted_ids(self.regions)
        self.unions = {ids[name]: tuple(union) for name, union in self.regions.items()}
        labels = {i: name for name, i in ids.items()} or labels
        if "ece" in metrics:
            raise ValueError("ece needs probabilities: use medseg.metrics.compare, or leave it out")
        names = labels if isinstance(labels, Mapping) else {i: str(i) for i in labels}
        self.labels = {int(i): name for i, name in names.items() if int(i) != 0}
        if len(set(self.labels.values())) != len(self.labels) or not self.labels:
            raise ValueError(f"labels {labels}: at least one beside 0, the background, each with its own name")
        self.metrics = tuple(dict.fromkeys([*metrics, "dice"]))
        self.largest_component = structures(largest_component, self.unions)
        self.settings = settings

    def _compute_list(self, y_pred: Any, y: Any = None, spacing: Any = None) -> torch.Tensor:
        if y is None or len(y_pred) != len(y):
            raise ValueError(f"{len(y_pred)} predictions and {0 if y is None else len(y)} references")
        spacings = prepare_spacing(spacing, len(y), y[0].ndim - 1)
        cases = [self._compare(y_pred[i], y[i], spacings[i]) for i in range(len(y))]
        return torch.tensor(cases, dtype=torch.float64).reshape(len(cases), len(self.labels), len(self.metrics))

    _compute_tensor = _compute_list

    def _compare(self, y_pred: torch.Tensor, y: torch.Tensor, spacing: Any) -> list[list[float]]:
        reference = label_map(y, max(self.labels))
        if self.regions:
            masks = y_pred.as_subclass(torch.Tensor) > 0
            predicted = painted_masks(list(masks.cpu().numpy()), self.regions)
        else:
            predicted = label_map(y_pred, max(self.labels))
        if self.largest_component:
            predicted = keep_largest_component(predicted, self.largest_component)
        if self.ignore_label is not None:
            predicted, reference = (each * (reference != self.ignore_label) for each in (predicted, reference))
        values = compare_regions(
            predicted,
            reference,
            self.unions,
            spacing_mm=given_spacing_mm(spacing, y, y_pred),
            labels=list(self.labels),
            metrics=self.metrics,
            **self.settings,
        )
        return [[values[i][metric] for metric in self.metrics] for i in self.labels]

    def aggregate(self) -> dict[str, Any]:
        """Return ``labels`` and ``mean`` as ``summary.json`` has them, over the cases of all processes.

        ``aggregate()["mean"]["dice"]["mean"]`` is the mean over cases of each case's mean over labels; values that
        a case lacks are left out and counted in ``n_excluded``. See ``docs/reference/evaluation.md``.
        """
        values = self.get_buffer()
        if values is None:
            raise ValueError("nothing to aggregate: call the metric first")
        return summarize(values.cpu().numpy(), self.labels, self.metrics)


class SegmentationMetricHandler(IgniteMetricHandler):
    """`SegmentationMetric` for an engine: ``key_val_metric`` or ``additional_metrics`` of MONAI's evaluators.

    ``engine.state.metrics`` gets ``dice`` and ``hd95_mm``, the means over cases that ``summary.json`` has, and
    ``dice_anterior`` and so on, those of each label that has any. The name that the handler is attached by gets
    the first metric, so that any name may be the key metric's.

    Parameters
    ----------
    labels, metrics, largest_component, regions, ignore_label, settings
        As for `SegmentationMetric`.
    output_transform
        From the engine's output to predictions and references, by default those under ``pred`` and ``label``.
    save_details
        Give ``engine.state.metric_details`` each metric's values (cases, labels), for MONAI's `MetricsSaver`.

    Raises
    ------
    InputError
        `CASES_EMPTY`, at the end of an epoch in which no case had a labelled voxel.
    """

    metric_fn: SegmentationMetric

    def __init__(
        self,
        labels: Mapping[int | str, str] | Sequence[int],
        *,
        metrics: Sequence[str] = VALIDATED,
        output_transform: Callable[[Any], Any] | None = None,
        save_details: bool = True,
        **settings: Any,
    ) -> None:
        metric = SegmentationMetric(labels, metrics=metrics, **settings)
        pairs = output_transform or from_engine(["pred", "label"])
        super().__init__(metric, output_transform=pairs, save_details=save_details)

    def compute(self) -> dict[str, float]:
        summary = self.metric_fn.aggregate()
        entries = {metric: summary["mean"][metric] for metric in self.metric_fn.metrics}
        for label in summary["labels"].values():
            entries |= {f"{metric}_{label['name']}": label[metric] for metric in self.metric_fn.metrics}
        means = {name: entry["mean"] for name, entry in entries.items() if entry["mean"] is not None}
        if "dice" not in means:
            raise InputError("CASES_EMPTY", "no validation case has a labelled voxel; choose another split")
        return means

    def completed(self, engine: Engine, name: str) -> None:
        made_before = [f"{m}_{label}" for m in self.metric_fn.metrics for label in self.metric_fn.labels.values()]
        for key in made_before:  # a label may have had a value in the last epoch, and none in this one
            engine.state.metrics.pop(key, None)
        means = self.compute()
        engine.state.metrics |= {name: means[self.metric_fn.metrics[0]], **means}
        if self.save_details:
            values = self.metric_fn.get_buffer()
            for place, metric in enumerate(self.metric_fn.metrics):
                engine.state.metric_details[metric] = values[:, :, place]


def label_map(tensor: torch.Tensor, largest: int) -> np.ndarray:
    """Return channel-first scores, one-hot channels or a label map as labels up to `largest`, without channel."""
    tensor = tensor.as_subclass(torch.Tensor)
    if len(tensor) == 1:
        array = (tensor[0].float() if tensor.is_floating_point() else tensor[0]).cpu().numpy()
        if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
            raise ValueError("one channel must hold label ids, and holds fractions: threshold its scores first")
        return array.astype(np.uint8 if array.min() >= 0 and array.max() < 256 else np.int32)
    if len(tensor) <= largest:
        raise ValueError(f"{len(tensor)} channels for label {largest}; channel 0 is background, channel i label i")
    best, index = tensor.max(0)  # faster than argmax, and of equal ones the first too
    if best.max() == 1 and ((tensor == 0) | (tensor == 1)).all() and (tensor.sum(0) > 1).any():
        raise ValueError(
            "the channels are masks that overlap, which no label map can hold: compare each by itself"
        )
    return index.to(torch.uint8 if len(tensor) <= 256 else torch.int32).cpu().numpy()


def given_spacing_mm(given: Any, *tensors: torch.Tensor) -> tuple[float, ...]:
    """Return the spacing in mm of each axis of channel-first tensors, as given or by the first affine there is."""
    n_axes = tensors[0].ndim - 1
    if given is not None:
        return tuple(np.broadcast_to(np.asarray(given, dtype=float), n_axes).tolist())
    for tensor in tensors:
        if isinstance(tensor, MetaTensor):
            return spacing_mm_of(np.asarray(tensor.affine.cpu(), dtype=float))[:n_axes]
    raise ValueError("distances in mm need the size of a voxel: give spacing=(1.0, 1.0, 3.0), say, or MetaTensors")
