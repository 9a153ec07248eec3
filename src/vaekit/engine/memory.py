"""How many rows a model is handed at once, so that memory stays bounded whatever the number of samples and the data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_IN_FLIGHT = 8  # tensors as large as the largest output of a module that live at the same time, with room to spare
_BUDGET = {"cpu": 64 * 2**20}  # bytes; on a CPU small tensors also stay in the cache
_ELSEWHERE = 2 * 2**30
_MOST = {"cpu": 2048}
_MOST_ELSEWHERE = 16_384


def rows_at_once(module: nn.Module, call: Callable[[], object], device: torch.device) -> int:
    """The number of rows N, found by watching `call`, a pass of one row through `module`.

    It depends on the model and the kind of device alone, so figures can be reproduced.
    """
    budget, most = _BUDGET.get(device.type, _ELSEWHERE), _MOST.get(device.type, _MOST_ELSEWHERE)
    return max(1, min(most, budget // (_IN_FLIGHT * max(1, largest_output(module, call)))))


@torch.no_grad()
def largest_output(module: nn.Module, call: Callable[[], object]) -> int:
    """Bytes of the largest tensor that any part of `module` returns during `call`."""
    sizes = [0]

    def note(part: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * output.element_size())

    hooks = [part.register_forward_hook(note) for part in module.modules()]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)
