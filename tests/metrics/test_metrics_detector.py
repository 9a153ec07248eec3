"""The one place where rows are scored: order, several models, p-values; no figure depends on what is read at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from linear_model import LATENT, D, binary_model, grey_rows, linear
from torch import Tensor

from vaekit.core import Batch, DataSpec
from vaekit.data.resident import ResidentRows
from vaekit.errors import DataError
from vaekit.metrics import conformal
from vaekit.metrics import detector as module
from vaekit.metrics.abnormality import parse
from vaekit.metrics.detector import Detector, codes_of, scan
from vaekit.metrics.noise import seed_of
from vaekit.model import VAE

NAMES = ("elbo", "error", "exemplar")
N = 37


def models(*errors: float) -> list[VAE]:
    return [linear().model(error).double() for error in errors]


def scanned(found: list[VAE], rows: ResidentRows, order: Tensor | None = None) -> module.Scored:
    codes = [codes_of(model, linear().rows(20)) for model in found]
    return scan(found, codes, rows, NAMES, order)


def test_rows_come_back_in_the_order_that_was_asked_for() -> None:
    rows, order = linear().rows(N), torch.tensor([30, 2, 5, 2, 36])
    whole, some = scanned(models(0.2), rows), scanned(models(0.2), rows, order)
    assert whole.numbers.tolist() == list(range(N)) and some.numbers.tolist() == order.tolist()
    assert whole.parts.shape == (N, 3) and whole.parts.dtype == torch.float64
    torch.testing.assert_close(some.parts, whole.parts[order], rtol=1e-9, atol=1e-9)


def test_an_ensemble_is_the_average_of_its_models() -> None:
    three, rows = models(0.0, 0.2, 0.4), linear().rows(N)
    alone = [scanned([model], rows).parts for model in three]
    torch.testing.assert_close(scanned(three, rows).parts, torch.stack(alone).mean(0))
    assert not torch.allclose(alone[0], alone[1]), "the models do not agree"


def test_p_values_are_those_of_the_score() -> None:
    rows, two, recipe = linear().rows(N), models(0.0, 0.3), parse("exemplar+error")
    codes = [codes_of(model, linear().rows(20)) for model in two]
    normal = scan(two, codes, linear().rows(90), recipe.names).parts
    detector = Detector(two, recipe, codes, normal)
    parts = detector.scan(rows).parts
    torch.testing.assert_close(detector.calibration, detector.score(normal), rtol=0, atol=1e-3)
    assert bool((detector.p_values(normal) >= conformal.p_values(detector.score(normal), detector.score(normal))).all())
    expected = conformal.p_values(detector.score(parts), detector.calibration)
    assert torch.equal(detector.p_values(parts), expected)
    assert detector.p_values(parts + 1e6).tolist() == [pytest.approx(1 / 91)] * N
    assert expected.unique().numel() > 15


@pytest.mark.parametrize("read", [1, 5, 4096])
def test_figures_do_not_depend_on_how_many_rows_are_read(read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, two = linear().rows(N), models(0.1, 0.3)
    usual = scanned(two, rows)
    monkeypatch.setattr(module, "READ", read)
    torch.testing.assert_close(scanned(two, rows).parts, usual.parts, rtol=1e-9, atol=1e-9)


def test_noise_of_the_data_belongs_to_the_row() -> None:
    model, rows = binary_model(), grey_rows(12)
    whole = scan([model], [None], rows, ("elbo",), seed=4).parts
    some = scan([model], [None], rows, ("elbo",), torch.tensor([7, 3]), seed=4).parts
    torch.testing.assert_close(some, whole[[7, 3]], rtol=1e-5, atol=1e-4)
    other = scan([model], [None], rows, ("elbo",), seed=5).parts
    assert not torch.allclose(other, whole), "another seed binarizes anew"


def test_scanning_leaves_the_random_state_and_can_be_repeated() -> None:
    model, rows = binary_model(), grey_rows(12)
    before = torch.get_rng_state()
    found = [scan([model], [None], rows, ("elbo", "importance_weighted"), samples=3, seed=2).parts for _ in range(2)]
    assert torch.equal(*found) and torch.equal(torch.get_rng_state(), before)


def test_progress_counts_the_rows_of_every_model() -> None:
    seen: list[tuple[int, int]] = []
    scan(models(0.1, 0.2), [None, None], linear().rows(N), ("elbo",), progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (2 * N, 2 * N) and seen == sorted(seen)


def test_codes_are_those_of_an_even_choice_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXEMPLARS", 10)
    (model,), rows = models(0.2), linear().rows(N)
    codes = codes_of(model, rows)
    chosen = module.exemplars(N)
    assert len(chosen) == 10 and not set(chosen.tolist()) & set(module.others(40).tolist()) - set(range(N))
    q = next(module.looked_at(model, None, rows, chosen, 0, 0)).trace.latents[0].q
    assert q is not None and codes.mean.shape == codes.scale.shape == (10, LATENT)
    torch.testing.assert_close(codes.mean, q.mean)
    torch.testing.assert_close(codes.scale, q.stddev)
    assert set(module.others(40).tolist()).isdisjoint(module.exemplars(40).tolist())


# --- rows that cannot be read ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Broken:
    """Rows of which some cannot be read, as files on a disk."""

    rows: ResidentRows
    bad: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        for batch in self.rows.batches(order, batch_size, drop_last):
            assert batch.index is not None
            good = torch.tensor([number not in self.bad for number in batch.index.tolist()])
            yield Batch(batch.x[good], index=batch.index[good])  # type: ignore[index]


def test_rows_that_cannot_be_read_are_left_out() -> None:
    bad = (0, 4, 5)
    found = scan(models(0.2), [None], Broken(linear().rows(9), bad), ("elbo",))
    assert found.numbers.tolist() == [1, 2, 3, 6, 7, 8]
    whole = scan(models(0.2), [None], linear().rows(9), ("elbo",))
    torch.testing.assert_close(found.parts, whole.parts[found.numbers], rtol=1e-9, atol=1e-9)


def test_nothing_to_be_read_is_said() -> None:
    broken, empty = Broken(linear().rows(4), (0, 1, 2, 3)), ResidentRows(torch.zeros(0, D), DataSpec((D,)))
    with pytest.raises(DataError, match="none of the 4 rows could be read"):
        scan(models(0.2), [None], broken, ("elbo",))
    with pytest.raises(DataError, match="none of the 0 rows could be read"):
        scan(models(0.2), [None], linear().rows(4), ("elbo",), torch.zeros(0, dtype=torch.long))
    with pytest.raises(DataError, match="none of the 0 rows could be read"):
        scan(models(0.2), [None], empty, ("elbo",))
    for rows in (broken, empty):
        with pytest.raises(DataError, match="none of the training rows could be read"):
            codes_of(models(0.2)[0], rows)


@pytest.mark.parametrize("read", [1, 5, 64])
def test_draws_belong_to_the_first_row_that_is_read(read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a figure can be repeated."""
    monkeypatch.setattr(module, "READ", read)
    seeds: list[int] = []
    monkeypatch.setattr(module, "reseed", lambda *numbers, device: seeds.append(seed_of(*numbers)))
    list(module.looked_at(models(0.2)[0], None, linear().rows(11), None, 3, 9))
    assert seeds == [seed_of(9, module._SCORES, first) for first in range(0, 11, read)]
