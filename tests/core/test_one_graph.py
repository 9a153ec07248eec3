"""A whole step (prepare, infer, score) is one graph under `torch.compile`, with the numbers of eager execution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from test_borrowed_module import vamp
from test_context_entries import conditional
from test_label_group import m2, two_labels
from test_missing_data import image_model
from test_named_parts import MASKS, table
from test_path_derivative import mixed
from test_quantized_group import vq_vae
from torch import Tensor, nn
from toys import vae

from vaekit.core import Batch, sum_sites
from vaekit.model import VAE
from vaekit.objectives.elbo import Elbo

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No graph of another test."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Step(nn.Module):
    """Raw batch → loss of the bound, and, with `path`, of the importance-weighted one by path derivative."""

    def __init__(self, model: VAE, samples: int, path: bool) -> None:
        super().__init__()
        self.model, self.samples, self.path = model, samples, path
        self.objective = Elbo(beta=0.7, free_bits=0.1, samples=samples)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        trace = self.model(self.model.likelihood.prepare(batch), samples=self.samples, path=self.path)
        bound = self.objective(trace, 0)
        sampled = trace.log_mean_exp(trace.log_ratio(path=self.path)).mean()
        per_site = trace.expect(sum_sites(trace.log_likelihood()))
        return bound.loss - sampled, {**bound.terms, "sampled": sampled, "per_datum": per_site}


def compare(step: Step, batch: Batch, backend: str) -> None:
    """Loss, terms and every gradient, to 1e-10, with the same random numbers."""
    results = []
    for run in (step, torch.compile(step, fullgraph=True, backend=backend)):
        torch.manual_seed(5)
        step.zero_grad()
        loss, terms = run(batch)
        loss.backward()
        grads = {name: value.grad for name, value in step.named_parameters() if value.grad is not None}
        results.append({"loss": loss, **terms, **grads})
    eager, compiled = results
    assert eager.keys() == compiled.keys()
    for name, value in eager.items():
        torch.testing.assert_close(
            compiled[name], value, rtol=0, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )


B = 6
CASES: dict[str, Callable[[], tuple[VAE, int, bool, Batch]]] = {
    "one group": lambda: (vae((2,), 5), 1, False, Batch(torch.randn(B, 5))),
    "three groups, three samples": lambda: (vae((2, 3, 1), 5, hidden=4), 3, False, Batch(torch.randn(B, 5))),
    "path derivative": lambda: (mixed(), 2, True, Batch(torch.randn(B, 3))),
    "mask": lambda: (image_model(2, 3, 4), 2, False, holed(torch.randn(B, 2, 3, 4))),
    "named parts": lambda: (*table()[:1], 2, False, Batch(table()[1], mask=MASKS)),
    "enumerated": lambda: (
        m2(),
        2,
        False,
        Batch(torch.randn(B, 3), observed={"y": torch.tensor([0, -1, 3, 1, -1, 2])}),
    ),
    "enumerated twice": lambda: (two_labels(), 2, True, Batch(torch.randn(B, 3))),
    "quantized": lambda: (vq_vae(), 1, False, Batch(torch.randn(B, 5))),
    "context": lambda: (
        conditional(),
        2,
        False,
        Batch(torch.randn(4, 5), context={"site": torch.tensor([0, -1, 5, 2])}),
    ),
    "borrowed": lambda: (vamp(), 2, False, Batch(torch.randn(B, 5))),
}


def holed(x: Tensor) -> Batch:
    mask = torch.rand(B, 1, 3, 4) < 0.6
    return Batch(torch.where(mask, x, math.nan), mask=mask)


@pytest.mark.parametrize("case", CASES)
def test_one_graph(case: str) -> None:
    """Captured whole; for two of them the backward pass is traced too."""
    model, samples, path, batch = CASES[case]()
    backend = "aot_eager" if case in ("one group", "path derivative") else "eager"
    compare(Step(model, samples, path), batch, backend)
