"""Torch modules as ONNX files, and sessions of them: quietly written, opened with the provider that was asked for.

Knows files and providers; no model.
"""

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from icg_tasks.contracts.errors import IcgError


def export_module(
    module: nn.Module, samples: tuple[Tensor, ...], path: Path, *, inputs: list[str], outputs: list[str], any_batch: bool
) -> None:
    """Write ``path`` (and ``path``.data beside it where weights do not fit into one file). Not atomic.

    ``any_batch``: the first side of every input may be another one later; else shapes are those of ``samples``.
    """
    said = io.StringIO()  # the exporter reports on stdout, which belongs to the stage's closing line
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns once per torchvision operator that is not installed
    with redirect_stdout(said), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own making: deprecations, constants in the graph
        program: Any = torch.onnx.export(
            module,
            samples,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=tuple({0: torch.export.Dim("batch")} for _ in samples) if any_batch else None,
            custom_translation_table={torch.ops.aten.squeeze.dim: _squeezed},
            dynamo=True,
        )
        large = sum(tensor.nbytes for tensor in module.state_dict().values()) > _LARGE
        program.save(str(path), external_data=large)


def open_session(path: Path, *, wants_cuda: bool) -> Any:
    """An inference session, with as many threads as torch has in this thread; raises IcgError where it does not open."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers: list[Any] = ["CPUExecutionProvider"]
    if wants_cuda:
        onnxruntime.preload_dlls()  # the CUDA libraries that came with torch
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))  # TF32 alone is off by 1e-3
    else:
        options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions share no public base
        path.unlink(missing_ok=True)
        raise IcgError(f"{path}: ONNX Runtime cannot open this export ({error}); it is removed, run the stage again") from error


def _squeezed(values: Any, dim: int) -> Any:
    """Torch leaves a side that is not 1 as it is; the exporter's own translation (onnxscript 0.7) asks ONNX to drop it."""
    from onnxscript import opset18 as operators

    fixed = len(values.shape) == 0 or (isinstance(values.shape[dim], int) and values.shape[dim] != 1)
    return operators.Identity(values) if fixed else operators.Squeeze(values, [dim])


_LARGE = 1_500_000_000  # bytes; one file of the format holds less than 2 GiB
