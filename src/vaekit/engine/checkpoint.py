"""Files of tensors and JSON: safetensors, written atomically, checked by their digest when read. No pickle is ever read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from vaekit.errors import RunError

SCHEMA = 1  # of checkpoints and run directories; raised when an older reader would misread them


def save(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors and a JSON record as one file, so that a reader sees the old file or the new one, never a part.

    Raises `RunError` if the disk is full or the folder is read-only; the file that was there stays as it was.
    """
    still = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    text = json.dumps(record)
    header = {"schema": str(SCHEMA), "digest": digest(still, text), "record": text}
    write_atomically(path, to_bytes(still, metadata=header))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save` wrote. Raises `RunError` for a file that is missing, torn, altered, or of a newer version."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: no such checkpoint; the run is incomplete") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: not a readable checkpoint ({error}); the file is torn or was altered") from None
    check_schema(int(header.get("schema", "0")), path)
    record = header.get("record", "")
    if header.get("digest") != digest(tensors, record):
        raise RunError(f"{path}: the content does not match its digest; the file was altered after it was written")
    return tensors, json.loads(record)


def check_schema(schema: int, path: Path) -> None:
    """Raise `RunError` for a file of another version."""
    if schema > SCHEMA:
        raise RunError(
            f"{path}: written by a newer vaekit (format {schema}; this one reads up to {SCHEMA}).\n"
            "  fix: pip install --upgrade vaekit"
        )
    if schema < 1:
        raise RunError(f"{path}: not written by vaekit (no format version in it)")


def digest(tensors: Mapping[str, Tensor], record: str) -> str:
    """SHA-256 over the JSON record, and names, types, shapes and bytes of tensors on the CPU."""
    total = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside `path`, flush it to the disk, then rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> RunError:
    """What to do about a full disk or a read-only folder."""
    return RunError(
        f"{path}: cannot be written ({error.strerror or error}); what was saved before is unharmed.\n"
        "  fix: free some space or choose another folder with --out, then go on with --resume"
    )


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as tensors, and the rest of it (numbers) for the JSON record."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value
            else:
                numbers[f"{index}/{key}"] = value
    return tensors, numbers


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]
) -> None:
    """Put back what `pack_optimizer` took out; the groups' settings come from the plan.

    A tensor of a parameter's shape gets that parameter's layout in memory: fused kernels walk both side by side.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        index, key = name.split("/", 1)
        like = parameters[int(index)]
        if isinstance(value, Tensor) and value.shape == like.shape:
            value = torch.empty_like(like, dtype=value.dtype).copy_(value)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def load_weights(model: torch.nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Copy weights into a model; raises `RunError` if they are another model's."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = "; ".join(line.strip() for line in str(error).splitlines()[1:4])
        raise RunError(
            f"{where}: the weights are not of the model that the configuration describes: {detail}"
        ) from None
