"""Embedding, decoding, reconstruction, paths and traversals."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vaekit.errors import ConfigError, DataError, RunError
from vaekit.run import Run
from vaekit.tasks.decode import decode
from vaekit.tasks.embed import Embedding, embed, load_embedding
from vaekit.tasks.interpolate import interpolate, slerp, some_pairs
from vaekit.tasks.reconstruct import reconstruct
from vaekit.tasks.traverse import traverse


def test_embeddings_keep_the_order_of_the_input(run: Run) -> None:
    whole = embed(run)
    rows = run.rows("test")
    assert whole.mean.shape == whole.scale.shape == (len(rows), 5) and (whole.scale > 0).all()
    assert list(whole.ids) == list(rows.ids) and rows.labels is not None and torch.equal(whole.labels, rows.labels)  # type: ignore[arg-type]
    order = [4, 0, 11, 7]
    some = embed(run, indices=order)
    torch.testing.assert_close(some.mean, whole.mean[order])
    assert list(some.ids) == [whole.ids[i] for i in order]
    batch = rows.gather(torch.tensor(order))
    torch.testing.assert_close(embed(run, batch.x.numpy()).mean, whole.mean[order])  # type: ignore[union-attr]


def test_decoding_an_embedding_is_reconstructing(run: Run, tmp_path: Path) -> None:
    points, back = embed(run, n=13), reconstruct(run, n=13)
    torch.testing.assert_close(decode(run, points).images, back.outputs)
    for name in ("z.npz", "z.csv", "deeper/z.npz"):
        again = load_embedding(points.save(tmp_path / name))
        assert torch.equal(again.mean, points.mean) and torch.equal(again.scale, points.scale)
        assert again.ids == points.ids
        found = decode(run, tmp_path / name)
        torch.testing.assert_close(found.images, back.outputs)
        assert found.ids == points.ids
    np.save(tmp_path / "z.npy", points.mean.numpy())
    torch.testing.assert_close(decode(run, tmp_path / "z.npy").images, back.outputs)
    torch.testing.assert_close(decode(run, points.mean.numpy()).images, back.outputs)
    torch.testing.assert_close(decode(run, points.mean.tolist()).images, back.outputs)


def test_labels_survive_both_files(run: Run, tmp_path: Path) -> None:
    points = embed(run, n=13)
    assert points.labels is not None
    names = [points.classes[int(label)] for label in points.labels]
    for name in ("z.npz", "z.csv"):
        again = load_embedding(points.save(tmp_path / name))
        assert again.labels is not None
        assert [again.classes[int(label)] for label in again.labels] == names


def test_edited_tables_are_read(run: Run, tmp_path: Path) -> None:
    points = embed(run, n=3)
    table = list(csv.reader(io.StringIO(points.to_csv().decode())))
    keep = [table[0].index(f"mean_{i}") for i in (4, 3, 2, 1, 0)]  # other columns are gone, the order is another
    (tmp_path / "z.csv").write_text("\n".join(",".join(row[i] for i in keep) for row in table))
    torch.testing.assert_close(decode(run, tmp_path / "z.csv").latents, points.mean)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,mean_0,mean_1,mean_2,mean_3,men_4\na,1,2,3,4,5", "unknown column 'men_4'"),
        ("id,mean_0,mean_1,mean_2,mean_3,mean_5\na,1,2,3,4,5", "unknown column 'mean_5'"),
        ("mean_0,mean_1,mean_2,mean_3\n1,2,3,4", r"\(n, 5\)"),
        ("mean_0,mean_1,mean_2,mean_3,mean_4\n1,2,3,x,5", "line 2"),
        ("mean_0,mean_1,mean_2,mean_3,mean_4\n1,2,3,4,5\n1,2", "line 3"),
        ("mean_0,mean_1,mean_2,mean_3,mean_4\n1,2,3,nan,5", "finite"),
        ("mean_0,mean_1,mean_2,mean_3,mean_4\n", "at least one row"),
        ("mean_0,mean_0\n1,2", "twice"),
        ("", "missing"),
    ],
)
def test_wrong_tables_are_refused(run: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "z.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        decode(run, tmp_path / "z.csv")


@pytest.mark.parametrize("latents", [np.zeros((3, 4)), np.zeros(5), np.zeros((0, 5)), "no.npz", "z.txt", [["a"]], None])
def test_wrong_latents_are_refused(run: Run, latents: Any) -> None:
    with pytest.raises(DataError):
        decode(run, latents)


def test_wrong_archives_are_refused(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", means=np.zeros((3, 5)))
    np.savez(tmp_path / "b.npz", mean=np.zeros((3, 5)), ids=np.array(["a"]))
    np.savez(tmp_path / "c.npz", mean=np.array([["x", "y"]]))
    np.savez(tmp_path / "d.npz", mean=np.array([[object()]]))
    (tmp_path / "e.npz").write_bytes(b"PK\x03\x04 torn")
    for name, said in (
        ("a", "did you mean 'mean'"),
        ("b", "expected 3 rows"),
        ("c", "numbers"),
        ("d", "read"),
        ("e", "read"),
    ):
        with pytest.raises(DataError, match=said):
            decode(run, tmp_path / f"{name}.npz")
    with pytest.raises(DataError, match=r"\.npz or \.csv"):
        embed(run, n=2).save(tmp_path / "z.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        embed(run, n=2).save(tmp_path / "file" / "z.npz")


def test_reconstructions_carry_a_figure_for_every_example(run: Run, tmp_path: Path) -> None:
    found = reconstruct(run, n=12, samples=4)
    assert found.inputs.shape == found.outputs.shape == (12, 1, 8, 8) and len(found.ids) == 12
    torch.testing.assert_close(found.elbo_nats, found.log_likelihood_nats - found.kl_nats)
    error = (found.outputs - found.inputs.float()).square().flatten(1).mean(1)
    torch.testing.assert_close(found.mse, error)
    assert found.psnr_db is not None
    torch.testing.assert_close(found.psnr_db, 10 * torch.log10(16**2 / error))
    table = list(csv.DictReader(io.StringIO(found.save(tmp_path / "r.csv").read_text())))
    assert [row["id"] for row in table] == list(found.ids)
    assert [float(row["kl_nats"]) for row in table] == pytest.approx(found.kl_nats.tolist())
    assert {row["label"] for row in table} <= set("0123456789")


def test_a_reconstruction_does_not_depend_on_its_neighbours(run: Run) -> None:
    several, alone = reconstruct(run, indices=[3, 9, 5]), reconstruct(run, indices=[9])
    torch.testing.assert_close(several.outputs[1:2], alone.outputs)
    assert several.ids[1] == alone.ids[0]


def test_paths_begin_and_end_at_the_examples(run: Run) -> None:
    points = embed(run, indices=[2, 17, 5, 8])
    for mode in ("linear", "slerp"):
        found = interpolate(run, [(2, 17), (5, 8)], steps=6, mode=mode)  # type: ignore[arg-type]
        assert found.images.shape == (2, 6, 1, 8, 8) and found.latents.shape == (2, 6, 5)
        torch.testing.assert_close(found.latents[:, 0], points.mean[0::2])
        torch.testing.assert_close(found.latents[:, -1], points.mean[1::2])
        torch.testing.assert_close(found.images[0, 3], decode(run, found.latents[0, 3:4]).images[0])
        assert (
            found.ids[1] == (points.ids[2], points.ids[3]) and found.labels is not None and found.labels.shape == (2, 2)
        )
    middle = interpolate(run, [(2, 17)], steps=3).latents[0, 1]
    torch.testing.assert_close(middle, points.mean[:2].mean(0))


def test_slerp_keeps_lengths_and_survives_parallel_ends() -> None:
    a, b = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])
    path = slerp(a, b, torch.linspace(0, 1, 7))[0]
    torch.testing.assert_close(path.norm(dim=1), torch.full((7,), 3.0))
    torch.testing.assert_close((path[1:] - path[:-1]).norm(dim=1).std(), torch.tensor(0.0), rtol=0, atol=1e-6)
    for other in (a, 2 * a, -a):
        assert torch.isfinite(slerp(a, other, torch.linspace(0, 1, 5))).all()


def test_default_pairs_are_of_different_rows() -> None:
    assert some_pairs(100) == [(0, 50), (12, 62), (25, 75), (37, 87)] and some_pairs(3) == [(0, 1)]
    with pytest.raises(ConfigError, match="two examples"):
        some_pairs(1)


@pytest.mark.parametrize(
    "wrong", [{"steps": 1}, {"mode": "cubic"}, {"pairs": [(0, 10_000)]}, {"pairs": []}, {"pairs": [(1, 2, 3)]}]
)
def test_wrong_paths_are_refused(run: Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        interpolate(run, **wrong)


def test_traversals_move_one_dimension_each(run: Run) -> None:
    found = traverse(run, [3, 0], span=2.0, steps=5)
    assert found.images.shape == (2, 5, 1, 8, 8) and found.kl is None and found.base == "prior"
    expected = torch.zeros(2, 5, 5)
    expected[0, :, 3] = expected[1, :, 0] = torch.linspace(-2, 2, 5)
    torch.testing.assert_close(found.latents, expected)
    torch.testing.assert_close(found.images.flatten(0, 1), decode(run, found.latents.flatten(0, 1)).images)


def test_traversals_around_an_example_keep_its_other_dimensions(run: Run) -> None:
    point = embed(run, indices=[6]).mean[0]
    found = traverse(run, [1], base=6, steps=4)
    others = [0, 2, 3, 4]
    torch.testing.assert_close(found.latents[0][:, others], point[others].expand(4, 4))
    assert found.base == embed(run, indices=[6]).ids[0]


def test_the_most_active_dimensions_come_first(run: Run) -> None:
    found = traverse(run, steps=2)
    assert sorted(found.dimensions) == [0, 1, 2, 3, 4]
    assert found.kl is not None and list(found.kl) == sorted(found.kl, reverse=True)


@pytest.mark.parametrize(
    "wrong",
    [{"dimensions": [5]}, {"dimensions": []}, {"span": 0.0}, {"span": float("nan")}, {"steps": 1}, {"base": 9999}],
)
def test_wrong_traversals_are_refused(run: Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        traverse(run, **wrong)


def test_records_are_plain_values_on_demand(run: Run) -> None:
    for record in (embed(run, n=2), reconstruct(run, n=2), interpolate(run, [(0, 1)], 2), traverse(run, [0], steps=2)):
        assert isinstance(record.as_dict(), dict)  # type: ignore[attr-defined]
    alone = Embedding(torch.zeros(1, 2), torch.zeros(1, 2), ("a",)).as_dict()
    known = {"mean": [[0.0, 0.0]], "scale": [[0.0, 0.0]], "ids": ["a"], "labels": None, "classes": []}
    assert alone == {**known, "context": {}}
