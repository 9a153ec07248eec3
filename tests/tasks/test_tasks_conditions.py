"""Conditions: what can be asked for, and what every task makes of a context."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import vaekit
from vaekit.errors import ConfigError, DataError
from vaekit.run import Run
from vaekit.tasks.conditions import conditions
from vaekit.tasks.evaluate import Evaluation

N = 120
KIND = np.array(["left", "right", "none"] * 40)
TILT = np.linspace(-1, 1, N).astype(np.float32)
SETTINGS = [
    "data.context=[label,tilt,code]",
    "model.latent=3",
    "model.encoder={name: mlp, hidden: [24]}",
    "model.decoder={name: mlp, hidden: [20]}",
    "model.likelihood={name: logistic}",
    "train.epochs=150",
    "train.lr=5e-3",
    "train.validate_every=50",
    "train.time=null",
    "train.batch_size=32",
    "train.precision=float32",
    "train.device=cpu",
    "train.ema=0.0",
]


def pictures() -> np.ndarray:
    """Bars on the left, on the right, or nowhere, brighter with their tilt: what conditions say can be seen."""
    draw = np.random.RandomState(0)
    x = np.zeros((N, 8, 9))
    x[KIND == "left", :, :3] = 120
    x[KIND == "right", :, 6:] = 120
    return (x + 60 * (TILT[:, None, None] + 1) + draw.rand(N, 8, 9) * 12).astype(np.uint8)


@pytest.fixture(scope="module", params=["standard", "gaussian"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on labelled pictures with a class, a number and a vector of two as context."""
    code = np.stack([TILT, -TILT], 1)
    data = {"x": pictures(), "labels": KIND, "tilt": TILT, "code": code}
    out = tmp_path_factory.mktemp("runs") / request.param
    return vaekit.train("array", data=data, overrides=[*SETTINGS, f"model.prior={request.param}"], out=out)


def test_values_are_found_by_name_and_number(run: Run) -> None:
    found = conditions(run, ["label=right", "label=0"])
    assert found.names == ("label=right", "label=left") and found.context["label"].tolist() == [2, 0]
    assert conditions(run, {"label": 1}).names == ("label=none",)
    assert conditions(run, ["label=all"]).context["label"].tolist() == [0, 1, 2]
    assert conditions(run, {"tilt": 0.25}).context["tilt"].tolist() == [[0.25]]
    assert conditions(run, ["tilt=-1..1:3"]).context["tilt"][:, 0].tolist() == [-1, 0, 1]
    assert conditions(run, ["code=0.5,1"]).context["code"].tolist() == [[0.5, 1.0]]


def test_several_entries_are_combined(run: Run) -> None:
    found = conditions(run, ["label=left", "tilt=0..1:2", "label=right"])
    assert found.names == (
        "label=left, tilt=0", "label=left, tilt=1", "label=right, tilt=0", "label=right, tilt=1",
    )  # fmt: skip
    assert found.context["label"].tolist() == [0, 0, 2, 2] and found.context["tilt"][:, 0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (
            ["lable=left"],
            ("unknown entry 'lable'", "did you mean 'label'", "label (left, none, right)", "tilt (a number"),
        ),
        (["label=lefft"], ("label has no class 'lefft'", "did you mean 'left'", "it has left, none, right")),
        (["label=3"], ("label has no class '3'",)),
        (["label=-1"], ("label has no class '-1'", "label=unknown hides it")),
        ([f"tilt=0..1:{10**6}"], ("at most 10000 combinations", "got 1000000")),
        (["label"], ("expected name=value", "got 'label'")),
        (["tilt=much"], ("tilt: expected a number", "got 'much'")),
        (["tilt=1,2"], ("tilt: expected a number", "[1.0, 2.0]")),
        (["tilt=nan"], ("expected a number",)),
        (["tilt=0..x"], ("expected a range such as 20..60",)),
        (["code=1"], ("code: expected 2 numbers", "[1.0]")),
        (["code=nowhere.npy"], ("code: expected 2 numbers", "nowhere.npy")),
        ({"label": None}, ("label has no class 'None'",)),
    ],
    ids=str,
)
def test_what_the_run_does_not_know(run: Run, asked: list[str], parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as error:
        vaekit.generate(run, 2, condition=asked)
    for part in parts:
        assert part in str(error.value), str(error.value)


def test_conditions_are_obeyed(run: Run) -> None:
    made = vaekit.generate(run, 50, condition={"label": ["left", "right"], "tilt": [-0.8, 0.8]})
    assert made.images.shape == (200, 1, 8, 9) and made.context["label"].tolist() == [0] * 100 + [2] * 100
    x = made.images.reshape(2, 2, 50, 8, 9)
    difference = [float(part[..., 1].mean() - part[..., 7].mean()) for part in x]  # left edge less right edge
    assert difference[0] > 40 and difference[1] < -40
    assert (x[:, 1].mean((1, 2, 3)) - x[:, 0].mean((1, 2, 3)) > 10).all(), "brighter with the number"


def test_the_noise_is_the_same_under_every_condition_or_fresh(run: Run) -> None:
    same = vaekit.generate(run, 6, condition=["label=all"], seed=3)
    z = same.latents.reshape(3, 6, -1)
    fresh = vaekit.generate(run, 6, condition=["label=all"], seed=3, same=False).latents.reshape(3, 6, -1)
    if run.config.model.prior.name == "standard":
        assert torch.equal(z[0], z[1]) and torch.equal(z[0], z[2])
    assert not torch.isclose(fresh[0], fresh[1]).any() and torch.equal(fresh[0], z[0])
    again = vaekit.generate(run, 6, condition={"label": [1]}, seed=3)
    assert torch.equal(again.images, same.images[6:12]), "a condition does not depend on those beside it"


def test_without_a_condition_classes_come_in_their_shares(run: Run) -> None:
    made = vaekit.generate(run, 600)
    assert made.conditions == () and made.images.shape == (600, 1, 8, 9) and list(made.context) == ["label"]
    shares = torch.bincount(made.context["label"]) / 600
    assert shares.tolist() == pytest.approx(run.spec.context["label"].shares, abs=0.06)
    left, right = (made.images[made.context["label"] == k, 0].mean(0) for k in (0, 2))
    assert (left - right)[:, 1].mean() > 40 > -40 > (left - right)[:, 7].mean()


def test_an_entry_may_be_hidden(run: Run) -> None:
    found = conditions(run, ["label=unknown", "tilt=unknown"])
    assert found.context["label"].tolist() == [-1] and found.context["tilt"].isnan().all()
    hidden, given = (vaekit.generate(run, 3, condition={"label": [value]}).images for value in ("unknown", "left"))
    assert not torch.equal(hidden, given)


def test_the_same_style_as_another_class(run: Run) -> None:
    found = vaekit.reconstruct(run, split="train", n=12, samples=2, condition=["label=left", "label=right"])
    assert found.conditions == ("label=left", "label=right")
    assert found.changed is not None and found.changed.shape == (12, 2, 1, 8, 9)
    for i, label in enumerate(found.labels.tolist() if found.labels is not None else []):
        if label == 0:
            torch.testing.assert_close(found.changed[i, 0], found.outputs[i], rtol=1e-3, atol=0.1)
    left, right = found.changed[:, 0, 0], found.changed[:, 1, 0]
    assert left[:, :, 1].mean() > right[:, :, 1].mean() + 20 and right[:, :, 7].mean() > left[:, :, 7].mean() + 20
    assert vaekit.reconstruct(run, n=2, samples=1).changed is None


def test_an_example_under_its_own_context_is_its_reconstruction(run: Run) -> None:
    rows = run.rows("test")
    first = rows.gather(torch.tensor([0])).context
    own = {name: value[0].tolist() if value.is_floating_point() else int(value[0]) for name, value in first.items()}
    found = vaekit.reconstruct(run, indices=[0], samples=1, condition=own)
    assert found.changed is not None
    torch.testing.assert_close(found.changed[0, 0], found.outputs[0], rtol=1e-4, atol=1e-2)


def test_a_directed_edit_does_what_the_labels_say(run: Run) -> None:
    made = vaekit.edit(run, "label=left", [-1.0, 0.0, 2.0], n=3)
    assert made.images.shape == (3, 3, 1, 8, 9) and made.inputs.shape == (3, 1, 8, 9)
    back = vaekit.embed(run, n=3).mean
    torch.testing.assert_close(made.latents[:, 1], back)
    torch.testing.assert_close(made.latents[:, 2] - made.latents[:, 1], 2 * made.direction.expand(3, -1))
    points, labels = vaekit.embed(run, split="train").mean, run.rows("train").labels
    assert labels is not None
    expected = points[labels == 0].mean(0) - points[labels != 0].mean(0)
    torch.testing.assert_close(made.direction, expected, rtol=1e-4, atol=1e-5)
    assert made.examples == (int((labels == 0).sum()), int((labels != 0).sum()))
    slope = vaekit.edit(run, "tilt", [1.0], n=1).direction
    tilt = run.rows("train").context["tilt"][:, 0].double()
    centred = tilt - tilt.mean()
    wanted = (centred[:, None] * points.double()).sum(0) / centred.square().sum() * tilt.std(correction=0)
    torch.testing.assert_close(slope.double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("colour=red", "the data has no 'colour'.* it has label, tilt, code"),
        ("label", "expected label=CLASS, one of left, none, right"),
        ("label=up", "label has no class 'up'"),
        ("tilt=3", "'tilt' is no class: expected"),
    ],
)
def test_attributes_that_are_none(run: Run, attribute: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vaekit.edit(run, attribute)


def test_an_attribute_of_one_kind_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "left.npz"
    np.savez(path, images=pictures()[KIND == "left"], labels=np.array(["left"] * 40), tilt=TILT[KIND == "left"])
    with (
        pytest.warns(UserWarning, match="code is unknown"),
        pytest.raises(DataError, match="got only one kind among 40"),
    ):
        vaekit.edit(run, "label=left", data=path)


def test_walks_keep_the_context(run: Run) -> None:
    found = vaekit.interpolate(run, [(0, 5)], steps=3, split="train")
    ends = vaekit.reconstruct(run, split="train", indices=[0, 5], samples=1).outputs
    torch.testing.assert_close(found.images[0, [0, -1]], ends, rtol=1e-4, atol=1e-2)
    based = vaekit.traverse(run, [0], span=1e-6, base=2, steps=3, split="train")
    at_base = vaekit.embed(run, split="train", indices=[2]).mean
    own = run.rows("train").gather(torch.tensor([2])).context
    same = {"label": int(own["label"][0]), "tilt": float(own["tilt"][0, 0]), "code": own["code"][0].tolist()}
    moved = at_base.clone()
    moved[0, 0] = float(based.latents[0, 1, 0])
    torch.testing.assert_close(
        based.images[0, 1], vaekit.decode(run, moved, condition=same).images[0], rtol=1e-4, atol=1e-2
    )
    part = vaekit.traverse(run, [0], span=1e-6, base=2, steps=3, split="train", condition={"label": same["label"]})
    torch.testing.assert_close(part.images, based.images)
    asked = vaekit.traverse(run, [0], condition={"label": "left"}, steps=3)
    plain = vaekit.traverse(run, [0], steps=3)
    assert based.images.shape == asked.images.shape == (1, 3, 1, 8, 9)
    assert not torch.equal(asked.images, plain.images)
    with pytest.raises(ConfigError, match="expected one value of each entry here, got 3"):
        vaekit.traverse(run, [0], condition=["label=all"])


def test_latents_are_decoded_under_a_condition(run: Run) -> None:
    made = vaekit.generate(run, 4, condition=["label=left"])
    again = vaekit.decode(run, made.latents, condition=["label=left"])
    torch.testing.assert_close(again.images, made.images)
    assert not torch.equal(vaekit.decode(run, made.latents).images, made.images)


def test_evaluation_says_what_the_class_is_worth(run: Run) -> None:
    found = vaekit.evaluate(run, samples=20)
    assert found.by_class is not None and found.by_class.entry == "label"
    assert found.by_class.accuracy is not None and found.by_class.accuracy.mean > 0.8
    assert found.by_class.marginal_nats.mean < found.importance_weighted_nats.mean + 0.5, "less is given"
    assert sum(part.importance_weighted_nats.n for part in found.by_class.classes) == found.n
    again = Evaluation.from_dict(found.as_dict())
    assert again.by_class == found.by_class
    assert "marginal_nats" in str(found)
    assert vaekit.evaluate(run, samples=2, by_class=False).by_class is None
    assert not found.notes or not any("unknown" in note for note in found.notes)


def test_evaluation_of_data_without_a_context_says_so(run: Run) -> None:
    with pytest.warns(UserWarning, match="is unknown") as said:
        found = vaekit.evaluate(run, samples=3, data=pictures()[:7])
    words = [str(warning.message) for warning in said]
    assert any("label is unknown in 7 of 7 examples" in word and "left, none, right" in word for word in words)
    assert any("tilt is unknown in 7 of 7" in word for word in words)
    assert found.by_class is not None and found.by_class.accuracy is None and not found.by_class.classes


def test_runs_without_a_context_refuse_conditions_and_take_edits(tmp_path: Path) -> None:
    settings = [value for value in SETTINGS if not value.startswith("data.context")]
    plain = vaekit.train("array", data=(pictures(), KIND), overrides=settings, out=tmp_path / "plain")
    with pytest.raises(ConfigError, match=r"trained without a context.*\n  fix: train one with it: --set data.context"):
        vaekit.generate(plain, 2, condition=["label=left"])
    made = vaekit.edit(plain, "label=left", [0.0, 1.0], n=2)
    assert made.images.shape == (2, 2, 1, 8, 9) and made.direction.abs().sum() > 0
    assert vaekit.evaluate(plain, samples=2).by_class is None


def test_a_run_keeps_its_context(run: Run) -> None:
    assert run.path is not None
    loaded = vaekit.load(run.path)
    assert loaded.spec == run.spec and loaded.spec.context["code"].size == 2
    first, second = (vaekit.generate(which, 3, condition=["label=right", "tilt=0.1"]) for which in (run, loaded))
    torch.testing.assert_close(first.images, second.images)


def test_latents_remember_what_they_were_inferred_under(run: Run, tmp_path: Path) -> None:
    back = vaekit.reconstruct(run, n=6, samples=1).outputs
    points = vaekit.embed(run, n=6)
    for suffix in (".npz", ".csv"):
        path = points.save(tmp_path / f"latents{suffix}")
        torch.testing.assert_close(vaekit.decode(run, path).images, back, rtol=1e-3, atol=1e-2)
    other = vaekit.decode(run, points, condition=["label=left"]).images
    assert not torch.allclose(other, back, atol=1.0)


def test_python_values_of_any_kind(run: Run) -> None:
    for given in (np.array([1, 2]), torch.tensor([1, 2]), range(1, 3), (1, 2), ["none", np.str_("right")]):
        assert conditions(run, {"label": given}).context["label"].tolist() == [1, 2]
    assert conditions(run, {"label": torch.tensor(2)}).names == ("label=right",)
    assert conditions(run, {"code": [0.5, 1.0]}).context["code"].tolist() == [[0.5, 1.0]]
    assert conditions(run, {"code": [[0.5, 1.0], [0.0, 0.25]]}).context["code"].shape == (2, 2)
    assert len(conditions(run, ["label=left", "label=left", "label=0"])) == 1, "asked for once is enough"


def test_numbers_far_outside_are_said(run: Run) -> None:
    with pytest.warns(UserWarning, match="tilt=9 is far outside of what the training data has"):
        conditions(run, {"tilt": 9.0})


def test_drawn_classes_say_nothing_of_the_latents(run: Run) -> None:
    made = vaekit.generate(run, 4000)
    z, label = made.latents, made.context["label"]
    if run.config.model.prior.name == "standard":
        spreads = torch.stack([z[label == k].std(0) for k in range(3)])
        assert (spreads - 1).abs().max() < 0.08
