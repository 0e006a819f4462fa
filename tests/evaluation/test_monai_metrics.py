"""The MONAI metric and the ignite handler say what `compare` and `evaluate` say, in mm."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import MetricsSaver
from monai.networks.utils import one_hot

import medseg
from medseg import InputError
from medseg.evaluation.monai_metrics import SegmentationMetric, SegmentationMetricHandler
from medseg.metrics.comparison import compare

NAMES = {"0": "background", "1": "head", "2": "tail"}
SPACING_MM = (1.0, 0.5, 3.0)


def label_maps(seed, n_cases, shape=(9, 8, 7)):
    """Predictions and references (n, 1, *shape) of labels 0 to 2; in some cases a label was missed or invented."""
    rng = np.random.default_rng(seed)
    references = rng.integers(0, 3, (n_cases, 1, *shape))
    predictions = np.where(rng.random(references.shape) < 0.7, references, 0)
    for maps in (references, predictions):
        for case in maps:
            if rng.random() < 0.3:
                case[case == rng.integers(1, 3)] = 0
    return torch.tensor(predictions), torch.tensor(references)


def as_meta(tensors, spacing_mm=SPACING_MM):
    affine = torch.eye(4, dtype=torch.float64)
    affine[range(3), [1, 2, 0]] = torch.tensor(spacing_mm, dtype=torch.float64)[[1, 2, 0]]  # axes turned and moved
    affine[[0, 1, 2], [0, 1, 2]] = 0
    affine[:3, 3] = torch.tensor([5.0, -7.0, 11.0])
    return [MetaTensor(tensor, affine=affine) for tensor in tensors]


@pytest.fixture
def evaluated():
    """Run an evaluator that predicts what a case holds, with a handler, on the cases given."""

    def run(handler, predictions, references, *, name="dice", handlers=None):
        cases = [
            {"image": p.float(), "label": y}
            for p, y in zip(as_meta(predictions), as_meta(references), strict=True)
        ]
        for place, case in enumerate(cases):
            case["image"].meta["filename_or_obj"] = f"case_{place}.nii.gz"
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(cases), batch_size=2),
            network=torch.nn.Identity(),
            key_val_metric={name: handler},
            val_handlers=handlers,
        )
        evaluator.run()
        return evaluator

    return run


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_every_form_of_input_gives_what_compare_gives(seed):
    predictions, references = label_maps(seed, 3)
    expected = [
        compare(p[0].numpy(), y[0].numpy(), spacing_mm=SPACING_MM, labels=[1, 2], metrics=("dice", "hd95_mm"))
        for p, y in zip(predictions, references, strict=True)
    ]
    expected = [[[values[i][m] for m in ("dice", "hd95_mm")] for i in (1, 2)] for values in expected]
    scores = torch.rand(3, 3, 9, 8, 7).scatter_add_(1, predictions, torch.full(predictions.shape, 2.0))
    hot = one_hot(references, 3)
    loaded = next(iter(DataLoader(Dataset(as_meta(references)), batch_size=3)))
    for y_pred, y, spacing in [
        (predictions, references, SPACING_MM),
        (predictions, references, [SPACING_MM] * 3),
        (predictions.float(), references.to(torch.bfloat16), SPACING_MM),
        (predictions.to(torch.uint16), references.to(torch.int8), np.array(SPACING_MM)),
        (scores, hot, SPACING_MM),
        (scores.half(), references, SPACING_MM),
        (list(scores), list(hot), SPACING_MM),
        (scores, as_meta(references), None),
        (predictions, loaded, None),  # a batch as a loader collates it: one affine for each
        (as_meta(scores), references, None),
    ]:
        metric = SegmentationMetric(NAMES)
        values = metric(y_pred, y) if spacing is None else metric(y_pred, y, spacing=spacing)
        np.testing.assert_array_equal(values.numpy(), expected)
        np.testing.assert_array_equal(metric.get_buffer().numpy(), expected)


def test_distances_are_in_millimetres_and_never_in_voxels():
    y, scores = torch.zeros(1, 6, 6, 6), torch.zeros(2, 6, 6, 6)
    y[0, 2, 2, 2] = 1
    scores[1, 2, 2, 4] = 9
    metric = SegmentationMetric({1: "lesion"}, metrics=("hd95_mm",))
    assert metric([scores], as_meta([y])).tolist() == [[[6.0, 0.0]]]
    assert metric([scores], [y], spacing=0.5).tolist() == [[[1.0, 0.0]]]
    with pytest.raises(ValueError, match="need the size of a voxel"):
        metric([scores], [y])


def test_in_two_dimensions():
    y, y_pred = torch.zeros(1, 1, 6, 6), torch.zeros(1, 1, 6, 6)
    y[0, 0, 2, 2] = y_pred[0, 0, 2, 4] = 1
    metric = SegmentationMetric([1], metrics=("hd95_mm",))
    assert metric(y_pred, y, spacing=(1.0, 3.0))[0, 0, 0] == 6
    affine = torch.tensor(np.diag([1.0, 3.0, 7.0, 1.0]))
    assert metric(y_pred, MetaTensor(y, affine=affine))[0, 0, 0] == 6


def test_its_means_are_those_of_evaluate(save, tmp_path):
    predictions, references = label_maps(3, 12)
    references[0] = predictions[0] = 0  # no value at all
    metric = SegmentationMetric(NAMES, metrics=("dice", "iou", "hd95_mm", "assd_mm", "nsd"))
    for place, (p, y) in enumerate(zip(as_meta(predictions), as_meta(references), strict=True)):
        metric([p], [y])
        for folder, tensor in (("predictions", p), ("references", y)):
            save(f"{folder}/case_{place:02}.nii.gz", tensor[0].numpy().astype(np.uint8), tensor.affine.numpy())
    medseg.evaluate(tmp_path / "predictions", tmp_path / "references", tmp_path / "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    ours = metric.aggregate()
    assert ours["mean"]["dice"]["n_excluded"] >= 1
    for name in metric.metrics:
        assert ours["mean"][name] == summary["mean"][name]
        for i in "12":
            assert ours["labels"][i][name] == summary["labels"][i][name]


def test_resetting_forgets():
    predictions, references = label_maps(0, 2)
    metric = SegmentationMetric(NAMES)
    metric(predictions, references, spacing=1.0)
    metric.reset()
    with pytest.raises(ValueError, match="nothing to aggregate"):
        metric.aggregate()
    metric(references, references, spacing=1.0)
    assert metric.aggregate()["mean"]["dice"]["mean"] == 1


def test_only_the_largest_component_is_judged_where_asked():
    y, y_pred = torch.zeros(1, 1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8)
    y[0, 0, :4] = y_pred[0, 0, :4] = y_pred[0, 0, 7, 7, 7] = 1
    assert SegmentationMetric([1])(y_pred, y, spacing=1.0)[0, 0, 0] < 1
    assert SegmentationMetric([1], largest_component=[1])(y_pred, y, spacing=1.0)[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("y_pred", "y", "message"),
    [
        (torch.full((1, 1, 4, 4, 4), 0.4), torch.zeros(1, 1, 4, 4, 4), "holds fractions"),
        (torch.ones(1, 3, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4), "overlap"),
        (torch.rand(1, 2, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4), "2 channels for label 2"),
        (torch.rand(1, 3, 4, 4, 4), torch.zeros(1, 1, 4, 4, 5), "shape"),
        (torch.rand(2, 3, 4, 4, 4), torch.zeros(1, 1, 4, 4, 4), "2 predictions and 1 references"),
        (torch.rand(2, 3, 4, 4, 4), None, "2 predictions and 0 references"),
    ],
)
def test_what_it_cannot_compare_is_refused(y_pred, y, message):
    with pytest.raises(ValueError, match=message):
        SegmentationMetric(NAMES)(y_pred, y, spacing=1.0)


@pytest.mark.parametrize("metric", ["no_such", "ece"])
def test_metrics_it_does_not_have_are_refused(metric):
    with pytest.raises(ValueError, match=metric):
        SegmentationMetric(NAMES, metrics=(metric,))


def test_the_handler_names_means_and_labels(evaluated):
    predictions, references = label_maps(1, 5)
    metric = SegmentationMetric(NAMES)
    metric(predictions, references, spacing=SPACING_MM)
    expected = metric.aggregate()
    found = evaluated(SegmentationMetricHandler(NAMES), one_hot(predictions, 3), references).state.metrics
    assert set(found) == {"dice", "hd95_mm", "dice_head", "hd95_mm_head", "dice_tail", "hd95_mm_tail"}
    for name in ("dice", "hd95_mm"):
        assert found[name] == expected["mean"][name]["mean"]
        assert found[f"{name}_tail"] == expected["labels"]["2"][name]["mean"]


def test_the_handler_under_a_name_of_ones_own(evaluated):
    predictions, references = label_maps(1, 3)
    handler = SegmentationMetricHandler(NAMES, metrics=("nsd_2mm", "dice"), hd95="pooled")
    state = evaluated(handler, predictions, references, name="val_surface").state
    assert state.key_metric_name == "val_surface"
    assert state.metrics["val_surface"] == state.metrics["nsd_2mm"]
    assert state.best_metric == state.metrics["nsd_2mm"]


def test_monais_saver_writes_every_case(evaluated, tmp_path):
    predictions, references = label_maps(2, 5)
    saver = MetricsSaver(
        str(tmp_path),
        metric_details=["dice", "hd95_mm"],
        batch_transform=lambda batch: [case["image"].meta for case in batch],
        summary_ops="*",
    )
    evaluated(SegmentationMetricHandler(NAMES), predictions, references, handlers=[saver])
    metric = SegmentationMetric(NAMES)
    values = metric(predictions, references, spacing=SPACING_MM).numpy()
    for place, name in enumerate(("dice", "hd95_mm")):
        lines = (tmp_path / f"{name}_raw.csv").read_text().splitlines()
        assert lines[0] == "filename,class0,class1,mean"
        written = [line.split(",") for line in lines[1:]]
        assert [row[0] for row in written] == [f"case_{i}.nii.gz" for i in range(5)]
        np.testing.assert_allclose(
            [[float(v) for v in row[1:3]] for row in written], values[..., place], atol=1e-4
        )
        assert (tmp_path / f"{name}_summary.csv").is_file()
    means = dict(line.split(",") for line in (tmp_path / "metrics.csv").read_text().splitlines())
    assert float(means["dice"]) == metric.aggregate()["mean"]["dice"]["mean"]


def test_a_label_that_no_case_has_is_left_out_and_not_remembered(evaluated):
    references = torch.zeros(2, 1, 4, 4, 4)
    references[:, 0, 1, 1, 1] = 1
    invented = references.clone()
    invented[0, 0, 3, 3, 3] = 2
    handler = SegmentationMetricHandler(NAMES)
    evaluator = evaluated(handler, invented, references)
    assert evaluator.state.metrics["dice_tail"] == 0
    assert evaluator.state.metrics["dice"] == np.mean([(1 + 0) / 2, 1])
    for case in evaluator.data_loader.dataset.data:
        case["image"] = case["label"].float()
    evaluator.run()
    assert evaluator.state.metrics == {"dice": 1, "dice_head": 1, "hd95_mm": 0, "hd95_mm_head": 0}


def test_no_labelled_voxel_in_any_case(evaluated):
    with pytest.raises(InputError, match="CASES_EMPTY"):
        evaluated(SegmentationMetricHandler(NAMES), torch.zeros(2, 1, 4, 4, 4), torch.zeros(2, 1, 4, 4, 4))


def gathered(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    predictions, references = label_maps(5, 5)
    mine = slice(0, 3) if rank == 0 else slice(3, 5)  # not evenly divided
    metric = SegmentationMetric(NAMES)
    metric(predictions[mine], references[mine], spacing=SPACING_MM)
    (folder / f"{rank}.json").write_text(json.dumps(metric.aggregate()))
    torch.distributed.destroy_process_group()


def test_processes_are_gathered(tmp_path):
    torch.multiprocessing.spawn(gathered, (tmp_path,), nprocs=2)
    metric = SegmentationMetric(NAMES)
    metric(*label_maps(5, 5), spacing=SPACING_MM)
    for rank in (0, 1):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == metric.aggregate()


@pytest.mark.gpu
def test_on_a_gpu():
    predictions, references = label_maps(4, 3)
    scores = one_hot(predictions, 3) + 0.1
    on_cpu, on_gpu = SegmentationMetric(NAMES), SegmentationMetric(NAMES)
    on_cpu(scores, references, spacing=SPACING_MM)
    on_gpu(as_meta(scores.cuda()), as_meta(references.cuda()))
    assert on_gpu.aggregate() == on_cpu.aggregate()


@pytest.mark.parametrize("labels", [[0], {}, {1: "same", 2: "same"}])
def test_labels_that_no_number_could_be_told_by_are_refused(labels):
    with pytest.raises(ValueError, match="each with its own name"):
        SegmentationMetric(labels)
