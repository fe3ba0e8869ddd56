"""The served score as an ONNX graph, for recommenders that have no torch: ten nodes, written directly, checked against torch.

Written by hand because torch's exporter takes 14 s for these ten nodes and puts its own traces into the file.
Inputs user_vectors [rows, 2E], image_vectors and title_vectors [rows, E]; output score [rows] in logits.
"""

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from icg_tasks.contracts.errors import IcgError
from icg_tasks.models.preference.model import PreferenceModel

MAX_DIFFERENCE = 1e-4
"""Largest difference from torch in logits, relative to scores of size one, that an export may show."""
_OPSET = 18
_IR_VERSION = 10

Floats = NDArray[np.float32]


class ParityError(IcgError):
    """The exported graph does not compute what torch computes."""


def export_onnx(model: PreferenceModel) -> bytes:
    """The graph's bytes; the same model gives the same bytes."""
    network = model.network
    state = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    base = state["base_weight"] * (1.0 if network.config.uses_base else 0.0)
    constants = {
        "cover_mean": state["cover_mean"],
        "seen": state["seen"],
        "user_map": np.ascontiguousarray(state["user_map"].T),
        "cover_map": np.ascontiguousarray(state["cover_map"].T),
        "base_weight": base[:, None].astype(np.float32),
        "bias": state["bias"].reshape(1),
        "last_axis": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Concat", ["image_vectors", "title_vectors"], ["cover"], axis=1),
        helper.make_node("Sub", ["cover", "cover_mean"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "seen"], ["centred"]),
        helper.make_node("Mul", ["user_vectors", "seen"], ["user"]),
        helper.make_node("MatMul", ["user", "user_map"], ["wishes"]),
        helper.make_node("MatMul", ["centred", "cover_map"], ["offers"]),
        helper.make_node("Mul", ["wishes", "offers"], ["matches"]),
        helper.make_node("ReduceSum", ["matches", "last_axis"], ["taste"], keepdims=0),
        helper.make_node("MatMul", ["centred", "base_weight"], ["base_column"]),
        helper.make_node("Squeeze", ["base_column", "last_axis"], ["base"]),
        helper.make_node("Sum", ["taste", "base", "bias"], ["score"]),
    ]
    widths = {"user_vectors": 2 * model.width, "image_vectors": model.width, "title_vectors": model.width}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width]) for name, width in widths.items()]
    outputs = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "preference", inputs, outputs, initializer=tensors)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="icg-covers")
    proto.ir_version = _IR_VERSION
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def check_parity(exported: bytes, model: PreferenceModel, users_BV: Floats, covers_BV: Floats) -> float:
    """Largest difference to torch on these rows, relative to max(1, |score|); raises ParityError at 1e-4 or more."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    images, titles = covers_BV[:, : model.width], covers_BV[:, model.width :]
    feeds = {"user_vectors": users_BV, "image_vectors": images, "title_vectors": titles}
    found = session.run(["score"], {name: np.ascontiguousarray(value) for name, value in feeds.items()})[0]
    with torch.no_grad():
        wanted = model.score(*(torch.from_numpy(np.ascontiguousarray(value)) for value in feeds.values())).numpy()
    worst = float((np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))).max()) if len(wanted) else 0.0
    if not worst < MAX_DIFFERENCE:
        raise ParityError(
            f"the preference model's ONNX export differs from torch by {worst:.2e} (allowed: {MAX_DIFFERENCE}); it is not "
            "published; check the onnx and onnxruntime versions against constraints.txt"
        )
    return worst
