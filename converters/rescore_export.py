"""The re-scoring graph: aligned local distances of each query to its own candidates, as one ONNX node.

`query_stripes` float16 `[B, S, d]`, `gallery_stripes` float16 `[G, S, d]`, `candidates` int32 `[B, K]` → `distance`
float32 `[B, K]`; a candidate of −1 gives +inf. The node is `reid::AlignedLocalDistance`, and the file brings what it
means as a function of standard operators, so that it runs anywhere; a TensorRT plugin of that name computes the same in
one kernel. The definition is that of `sdk.distances.local_distance_gathered` (arXiv 1711.08184, equations 1 and 2).
"""

from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sdk.engines.builder import BuildOptions, build_plan
from sdk.engines.metadata import KEY, Metadata
from sdk.engines.plan import network_name, short
from sdk.engines.plugin import (
    CANDIDATES,
    DISTANCE,
    DOMAIN,
    GALLERY,
    MARK,
    OPERATOR,
    PLUGIN_VERSION,
    QUERY,
    load_plugin,
)
from sdk.engines.versions import Library
from sdk.errors import EngineError

OPSET = 18
MOST_ENTRIES, MOST_CANDIDATES = 100_000, 1000
"""Of an engine: entries of the gallery, and candidates of a query."""


def rescore_graph(metadata: Metadata) -> onnx.ModelProto:
    """The graph for a model of `metadata.stripes` stripes of `metadata.stripe_dim` numbers."""
    stripes, width = metadata.stripes, metadata.stripe_dim
    graph = helper.make_graph(
        [helper.make_node(OPERATOR, [QUERY, GALLERY, CANDIDATES], [DISTANCE], name="align", domain=DOMAIN)],
        "rescore",
        [
            helper.make_tensor_value_info(QUERY, TensorProto.FLOAT16, ["queries", stripes, width]),
            helper.make_tensor_value_info(GALLERY, TensorProto.FLOAT16, ["gallery", stripes, width]),
            helper.make_tensor_value_info(CANDIDATES, TensorProto.INT32, ["queries", "candidates"]),
        ],
        [helper.make_tensor_value_info(DISTANCE, TensorProto.FLOAT, ["queries", "candidates"])],
    )
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
        functions=[_function(stripes)],
        producer_name="aligned-reid",
        ir_version=8,
    )
    helper.set_model_props(proto, {KEY: metadata.to_json()})
    onnx.checker.check_model(proto)
    return proto


def for_plugin(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for a TensorRT that has the plugin: without the function body.

    Parsers differ in which of the two they take where both are there (10.0 to 10.6 the function, 10.7 to 10.14 the
    plugin, later ones the plugin only where `plugin_namespace` names it), so only one is left.
    """
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    del proto.functions[:]
    for node in proto.graph.node:
        if (node.domain, node.op_type) == (DOMAIN, OPERATOR):
            node.attribute.extend(
                [
                    helper.make_attribute("plugin_namespace", DOMAIN),
                    helper.make_attribute("plugin_version", PLUGIN_VERSION),
                ]
            )
    return proto


def build_rescoring(proto: onnx.ModelProto, library: Library, options: BuildOptions) -> bytes:
    """The graph as an engine: with the fused kernel where the library takes plugins and has it, else from the body.

    It is for this version of the library alone: a plan that is for later ones brings a runtime of its own, which knows
    no plugins but those that are packed into it. Raises `EngineError` where the library cannot build it.
    """
    options = replace(options, version_compatible=False)
    metadata = Metadata.from_json({item.key: item.value for item in proto.metadata_props}[KEY], "rescore.onnx")
    sides = (metadata.stripes, metadata.stripe_dim)
    tuned, most = options.tuned_batch, options.max_batch
    profile = {
        QUERY: tuple((queries, *sides) for queries in (1, tuned, most)),
        GALLERY: tuple((entries, *sides) for entries in (1, 4096, MOST_ENTRIES)),
        CANDIDATES: ((1, 1), (tuned, 100), (most, MOST_CANDIDATES)),
    }

    def name_for(target: str) -> str:
        tools = {**metadata.tools, library.name: library.version} | ({MARK: PLUGIN_VERSION} if fused else {})
        return network_name(replace(short(metadata), target=target, max_batch=most, tools=tools))

    fused = load_plugin(library)
    content = (for_plugin(proto) if fused else proto).SerializeToString()
    plan = build_plan(content, profile, library, options, name_for)
    if fused and not plan.plugins:
        raise EngineError(f"{library.title} knows the plugin {OPERATOR} but did not take it; please report its version")
    return plan.content


def _function(stripes: int) -> onnx.FunctionProto:
    """The operator's meaning for S = `stripes`. The path's matrix is walked by anti-diagonals, all pairs at once."""
    body = _Body()
    for name, value in (("at_0", 0), ("at_1", 1), ("at_2", 2), ("at_3", 3), ("at_last", -1)):
        body.constant(name, np.array([value], np.int64))
    body.constant("infinity", np.float32(np.inf))
    chosen = body.add("Max", CANDIDATES, body.constant("zero", np.int32(0)))
    gathered = body.add("Gather", GALLERY, chosen, axis=0)
    gallery = body.add("Cast", gathered, to=TensorProto.FLOAT)  # [B, K, S, d]
    alone = body.add("Unsqueeze", QUERY, "at_1")
    query = body.add("Cast", alone, to=TensorProto.FLOAT)  # [B, 1, S, d]
    # ‖f − g‖² = ‖f‖² + ‖g‖² − 2 f·g
    lengths = body.add("ReduceSum", body.add("Mul", query, query), "at_last", keepdims=1)  # [B, 1, S, 1]
    others = body.add("ReduceSum", body.add("Mul", gallery, gallery), "at_last", keepdims=1)  # [B, K, S, 1]
    across = body.add("Transpose", others, perm=[0, 1, 3, 2])  # [B, K, 1, S]
    product = body.add("MatMul", query, body.add("Transpose", gallery, perm=[0, 1, 3, 2]))  # [B, K, S, S]
    sums = body.add("Add", lengths, across)
    squared = body.add("Sub", sums, body.add("Mul", product, body.constant("two", np.float32(2))))
    x = body.add("Sqrt", body.add("Max", squared, body.constant("floor", np.float32(0))))
    element = body.add("Tanh", body.add("Mul", x, body.constant("half", np.float32(0.5))))
    cells = body.add("Reshape", element, body.constant("cells", np.array([0, 0, stripes * stripes], np.int64)))
    # Skewed: row by row the anti-diagonals, in which a cell's column tells its row in `element`; what lies outside
    # of the matrix is taken from a last cell, which is infinite.
    edges = body.add("Mul", body.add("Slice", cells, "at_0", "at_1", "at_2"), body.constant("none", np.float32(0)))
    walled = body.add("Concat", cells, body.add("Add", edges, "infinity"), axis=2)
    skewed = body.add("Gather", walled, body.constant("skew", _skew(stripes)), axis=2)  # [B, K, 2S − 1, S]
    steps = body.split(skewed, 2 * stripes - 1)
    cost = steps[0]
    if stripes > 1:
        wall = body.add("Slice", cost, "at_1", "at_2", "at_3")
    for step in steps[1:]:
        # Before cell (i, j) come (i, j − 1), in the same column here, and (i − 1, j), in the one to the left.
        above = body.add("Concat", wall, body.add("Slice", cost, "at_0", "at_last", "at_3"), axis=3)
        cost = body.add("Add", step, body.add("Min", cost, above))
    end = body.add("Slice", cost, "at_last", body.constant("all", np.array([stripes], np.int64)), "at_3")
    total = body.add("Squeeze", end, body.constant("inner", np.array([2, 3], np.int64)))
    nobody = body.add("Less", CANDIDATES, "zero")
    body.add("Where", nobody, "infinity", total, output=DISTANCE)
    return helper.make_function(
        DOMAIN,
        OPERATOR,
        [QUERY, GALLERY, CANDIDATES],
        [DISTANCE],
        body.nodes,
        [helper.make_opsetid("", OPSET)],
        ["plugin_namespace", "plugin_version"],
    )


def _skew(stripes: int) -> np.ndarray:
    """int64 `[2S − 1, S]`: for anti-diagonal t and row i the flat index of cell (i, t − i); S² where there is none."""
    column = np.arange(2 * stripes - 1)[:, None] - np.arange(stripes)
    inside = (column >= 0) & (column < stripes)
    return np.where(inside, np.arange(stripes) * stripes + column, stripes * stripes)


class _Body:
    """Nodes in order, each with one output that is named by its place."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value))))
        return name

    def split(self, name: str, parts: int) -> list[str]:
        """Along axis 2."""
        outputs = [f"{name}_{part}" for part in range(parts)]
        self.nodes.append(helper.make_node("Split", [name], outputs, axis=2, num_outputs=parts))
        return outputs

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output
