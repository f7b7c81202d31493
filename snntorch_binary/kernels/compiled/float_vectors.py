"""Short vectors of float32 inside a kernel, held in registers: sums over a list, whose length no compiler knows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from snntorch_binary.kernels.compiled.vectors import pointer, splat

# vectors.py: 08204e43

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


@intrinsic(prefer_literal=True)
def load_as_numbers(context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The ``lanes`` elements of a flat array of float32 or int32, from an index on, as numbers."""
    kind = Floats(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(context.get_data_type(signature.args[0].dtype), kind.lanes)
        kept = builder.load(pointer(context, builder, signature.args[0], args[0], args[1], vector), align=4)
        return kept if vector.element == _FLOAT else builder.sitofp(kept, ir.VectorType(_FLOAT, kind.lanes))

    return kind(array, types.intp, lanes), generate


def _of_two(operation: str, meaning: str) -> Any:
    @intrinsic
    def of_two(context: Any, a: Any, b: Any) -> Any:
        def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, operation)(*args)

        return a(a, b), generate

    of_two.__doc__ = f"Return {meaning}, number by number."
    return of_two


product, total, difference = _of_two("fmul", "a · b"), _of_two("fadd", "a + b"), _of_two("fsub", "a - b")


@intrinsic
def product_and_total(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a · b + c, each with one rounding."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        name, function = f"llvm.fma.v{kind.count}f32", ir.FunctionType(kind, [kind] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)

    return a(a, b, c), generate


@intrinsic
def where_above(context: Any, a: Any, b: Any, chosen: Any, other: Any) -> Any:
    """Return ``chosen`` where a > b, and ``other`` elsewhere."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return a(a, b, chosen, other), generate


@intrinsic
def sixteen_above(context: Any, a: Any, b: Any) -> Any:
    """The 16 bits that say where a > b."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.fcmp_ordered(">", *args), ir.IntType(16))

    return types.uint16(a, b), generate


@intrinsic
def plus_sixteen(context: Any, numbers: Any, bits: Any) -> Any:
    """Return 16 numbers, and one more where a bit is set."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers, bits = args
        chosen = builder.bitcast(bits, ir.VectorType(ir.IntType(1), 16))
        more = builder.fadd(numbers, ir.Constant(numbers.type, [1.0] * 16))
        return builder.select(chosen, more, numbers)

    return numbers(numbers, types.uint16), generate
