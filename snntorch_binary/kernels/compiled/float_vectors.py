"""Short vectors of float32 inside a kernel, held in registers: sums over a list, whose length no compiler knows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from snntorch_binary.kernels.compiled.vectors import pointer, splat

# vectors.py: db5a446e

_FLOAT = ir.FloatType()


class Floats(types.Type):
    """``lanes`` numbers."""

    def __init__(self, lanes: int) -> None:
        super().__init__(name=f"Floats({lanes})")
        self.lanes = lanes


@register_model(Floats)
class _FloatsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Floats) -> None:
        super().__init__(manager, kind, ir.VectorType(_FLOAT, kind.lanes))


@intrinsic(prefer_literal=True)
def zeros(context: Any, lanes: Any) -> Any:
    """``lanes`` zeros."""
    kind = Floats(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.VectorType(_FLOAT, kind.lanes), [0.0] * kind.lanes)

    return kind(lanes), generate


@intrinsic(prefer_literal=True)
def load(context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The ``lanes`` numbers of a flat array that begin at an index."""
    kind = Floats(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(_FLOAT, kind.lanes)
        return builder.load(pointer(context, builder, signature.args[0], args[0], args[1], vector), align=4)

    return kind(array, types.intp, lanes), generate


@intrinsic
def store(context: Any, array: Any, index: Any, numbers: Any) -> Any:
    """Write numbers to a flat array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], pointer(context, builder, signature.args[0], args[0], args[1], args[2].type), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, numbers), generate


@intrinsic
def plus(context: Any, total: Any, array: Any, index: Any) -> Any:
    """Return total + the numbers of a flat array from an index on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = pointer(context, builder, signature.args[1], args[1], args[2], args[0].type)
        return builder.fadd(args[0], builder.load(source, align=4))

    return total(total, array, types.intp), generate


@intrinsic
def plus_times(context: Any, total: Any, factor: Any, array: Any, index: Any) -> Any:
    """Return total + factor · the numbers of a flat array from an index on, each with one rounding."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total, factor, array, index = args
        kind = total.type
        numbers = builder.load(pointer(context, builder, signature.args[2], array, index, kind), align=4)
        name, function = f"llvm.fma.v{kind.count}f32", ir.FunctionType(kind, [kind] * 3)
        fma = cgutils.get_or_insert_function(builder.module, function, name)
        return builder.call(fma, [splat(builder, factor, kind.count), numbers, total])

    return total(total, types.float32, array, types.intp), generate


@intrinsic
def where_larger(context: Any, best: Any, numbers: Any, chosen: Any, other: Any) -> Any:
    """Return ``chosen`` where numbers are larger than the best ones, or NaN, and ``other`` elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        best, numbers, chosen, other = args
        larger = builder.fcmp_ordered(">", numbers, best)
        return builder.select(builder.or_(larger, builder.fcmp_unordered("uno", numbers, numbers)), chosen, other)

    return best(best, numbers, chosen, other), generate


@intrinsic
def where_equal(context: Any, places: Any, place: Any, numbers: Any) -> Any:
    """Return numbers where ``places`` are one place, and zero elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places, place, numbers = args
        same = builder.fcmp_ordered("==", places, splat(builder, place, numbers.type.count))
        return builder.select(same, numbers, ir.Constant(numbers.type, [0.0] * numbers.type.count))

    return numbers(places, types.float32, numbers), generate


@intrinsic(prefer_literal=True)
def all_of(context: Any, number: Any, lanes: Any) -> Any:
    """``lanes`` times one number."""
    kind = Floats(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return splat(builder, args[0], kind.lanes)

    return kind(types.float32, lanes), generate


@intrinsic(prefer_literal=True)
def load_bytes(context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The ``lanes`` numbers that are bytes of a flat array, from an index on."""
    kind = Floats(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), kind.lanes)
        kept = builder.load(pointer(context, builder, signature.args[0], args[0], args[1], vector), align=1)
        return builder.uitofp(kept, ir.VectorType(_FLOAT, kind.lanes))

    return kind(array, types.intp, lanes), generate


@intrinsic
def store_bytes(context: Any, array: Any, index: Any, numbers: Any) -> Any:
    """Write numbers from 0 to 255 as bytes of a flat array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.IntType(8), args[2].type.count)
        target = pointer(context, builder, signature.args[0], args[0], args[1], vector)
        builder.store(builder.fptoui(args[2], vector), target, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, numbers), generate
