"""Optimizers by name, clipping before each step that is taken, an end where nothing improves."""

from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from project import code_of

from medseg.training.early_stopping import EarlyStopping
from medseg.training.fast_norms import FastNorms
from medseg.training.optimizers import GradientClipping, make_optimizer


@pytest.mark.parametrize(("name", "decay"), [("adamw", 0.01), ("sgd", 3e-5)])
def test_an_optimizer_by_name(name, decay):
    network = torch.nn.Linear(2, 1)
    made = make_optimizer(network.parameters(), name=name, lr=0.1)
    assert made.param_groups[0]["weight_decay"] == decay
    before = network.weight.detach().clone()
    network(torch.ones(1, 2)).sum().backward()
    made.step()
    assert not torch.equal(before, network.weight)
    assert code_of(make_optimizer, network.parameters(), name="adam", lr=0.1) == "CONFIG_BAD_VALUE"


def test_the_summed_gradient_is_clipped_before_each_step():
    network, norms = torch.nn.Conv3d(1, 1, 1), []

    class Noted(torch.optim.SGD):
        def step(self, *_):
            norms.append(float(torch.cat([p.grad.flatten() for p in network.parameters()]).norm()))

    batches = [{"image": torch.ones(1, 1, 2, 2, 2), "label": torch.zeros(1)}] * 5
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=batches,
        network=network,
        optimizer=Noted(network.parameters(), lr=0.1),
        loss_function=lambda scores, _: 100 * scores,
        train_handlers=[GradientClipping(network, 2.0)],
        decollate=False,
        accumulation_steps=2,
    )
    trainer.run()
    assert norms == pytest.approx([2.0, 2.0, 2.0], rel=1e-4)


def test_a_run_ends_after_so_many_validations_without_a_better_one():
    checkpoints = SimpleNamespace(best={"epoch": 0}, interval=2)
    engine = Engine(lambda *_: None)

    @engine.on(Events.EPOCH_COMPLETED)
    def validate(engine):
        if engine.state.epoch in (2, 4):
            checkpoints.best["epoch"] = engine.state.epoch

    EarlyStopping(checkpoints, patience=3).attach(engine)
    engine.run([0], max_epochs=100)
    assert engine.state.epoch == 10


def test_fast_norms_give_the_numbers_and_gradients_of_the_network_s_own():
    torch.manual_seed(0)
    layers = [torch.nn.Conv3d(1, 4, 3), torch.nn.InstanceNorm3d(4, affine=True), torch.nn.InstanceNorm3d(4)]
    network = torch.nn.Sequential(*layers)
    image = torch.randn(2, 1, 6, 6, 6)
    results = []
    for _ in range(2):
        network.zero_grad()
        scores = network(image)
        scores.pow(3).sum().backward()
        results.append([scores, *(p.grad for p in network.parameters())])
        names = list(network.state_dict())
        FastNorms(network)._exchange()
        assert list(network.state_dict()) == names
    assert type(network[1]) is not torch.nn.InstanceNorm3d
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
