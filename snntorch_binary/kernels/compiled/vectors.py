"""Short vectors inside a kernel: 64-bit words side by side, held in registers, as LLVM lays them out for any CPU.

numba vectorises loops over arrays and has no vectors of its own. A sum in bit planes needs its planes in registers
from one row of weights to the next, which no loop over an array says.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

_I64 = ir.IntType(64)
_I1 = ir.IntType(1)


class Words(types.Type):
    """``lanes`` words of 64 bits."""

    def __init__(self, lanes: int) -> None:
        super().__init__(name=f"Words({lanes})")
        self.lanes = lanes


class Counts(types.Type):
    """64 counters of 16 bits: one for each bit of a word."""

    def __init__(self) -> None:
        super().__init__(name="Counts")


@register_model(Words)
class _WordsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Words) -> None:
        super().__init__(manager, kind, ir.VectorType(_I64, kind.lanes))


@register_model(Counts)
class _CountsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Counts) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(16), 64))


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """Return a vector of one scalar."""
    kind = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    )


def pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, target: Any) -> Any:
    """Return the address of a contiguous array's element, as a pointer to ``target``."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), target.as_pointer())


@intrinsic(prefer_literal=True)
def zeros(context: Any, lanes: Any) -> Any:
    """``lanes`` words of zeros."""
    kind = Words(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.VectorType(_I64, kind.lanes), [0] * kind.lanes)

    return kind(lanes), generate


@intrinsic(prefer_literal=True)
def load(context: Any, array: Any, index: Any, lanes: Any) -> Any:
    """The ``lanes`` words of a flat array that begin at an index."""
    kind = Words(lanes.literal_value)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(_I64, kind.lanes)
        return builder.load(pointer(context, builder, signature.args[0], args[0], args[1], vector), align=8)

    return kind(array, types.intp, lanes), generate


@intrinsic
def store(context: Any, array: Any, index: Any, words: Any) -> Any:
    """Write words to a flat array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], pointer(context, builder, signature.args[0], args[0], args[1], args[2].type), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, words), generate


@intrinsic
def parity(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Lower bit of a + b + c, for each bit."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.xor(builder.xor(args[0], args[1]), args[2])

    return a(a, b, c), generate


@intrinsic
def majority(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Upper bit of a + b + c, for each bit."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, c = args
        return builder.or_(builder.and_(a, b), builder.and_(c, builder.or_(a, b)))

    return a(a, b, c), generate


@intrinsic
def both(context: Any, a: Any, b: Any) -> Any:
    """Upper bit of a + b, for each bit."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.and_(*args)

    return a(a, b), generate


@intrinsic
def either(context: Any, a: Any, b: Any) -> Any:
    """Lower bit of a + b, for each bit."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.xor(*args)

    return a(a, b), generate


@intrinsic
def add_common_ones(context: Any, total: Any, words: Any, word: Any) -> Any:
    """Add to each lane of ``total`` the number of ones that the lane of ``words`` shares with one ``word``."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = signature.args[0].lanes
        common = builder.and_(args[1], splat(builder, args[2], lanes))
        name, kind = f"llvm.ctpop.v{lanes}i64", ir.FunctionType(common.type, [common.type])
        count = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.add(args[0], builder.call(count, [common]))

    return total(total, words, types.uint64), generate


@intrinsic
def store_difference(context: Any, array: Any, index: Any, total: Any, silent: Any) -> Any:
    """Write 2 · total - silent to a flat int32 array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, total, silent = args
        lanes = signature.args[2].lanes
        doubled = builder.shl(total, ir.Constant(total.type, [1] * lanes))
        result = builder.sub(doubled, splat(builder, silent, lanes))
        narrow = builder.trunc(result, ir.VectorType(ir.IntType(32), lanes))
        builder.store(narrow, pointer(context, builder, signature.args[0], array, index, narrow.type), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, total, types.int64), generate


@intrinsic
def store_pairs(context: Any, array: Any, index: Any, even: Any, odd: Any, silent: Any) -> Any:
    """Write 2 · total - silent of 16 outputs to a flat int32 array, from totals of the even ones and of the odd."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, index, even, odd, silent = args
        narrow = ir.VectorType(ir.IntType(32), 2 * signature.args[2].lanes)
        upper = builder.shl(odd, ir.Constant(odd.type, [32] * odd.type.count))
        both = builder.bitcast(builder.or_(even, upper), narrow)
        less = splat(builder, builder.trunc(silent, ir.IntType(32)), narrow.count)
        place = pointer(context, builder, signature.args[0], array, index, narrow)
        builder.store(builder.sub(builder.add(both, both), less), place, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, even, odd, types.int64), generate


@intrinsic
def ones(context: Any, word: Any) -> Any:
    """Number of ones of a word."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.ctpop", [_I64]), [args[0]])

    return types.int64(types.uint64), generate


@intrinsic
def first_one(context: Any, word: Any) -> Any:
    """Place of the lowest one of a word; undefined for zero."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_I64, [_I64, _I1])
        count = builder.module.declare_intrinsic("llvm.cttz", [_I64], kind)
        return builder.call(count, [args[0], ir.Constant(_I1, 0)])

    return types.int64(types.uint64), generate


@intrinsic
def counts_of(context: Any, start: Any) -> Any:
    """64 counters that begin at the same number."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return splat(builder, builder.trunc(args[0], ir.IntType(16)), 64)

    return Counts()(types.int64), generate


@intrinsic
def add_where(context: Any, counts: Any, word: Any, step: Any) -> Any:
    """Add ``step`` to the counters whose bit of the word is set."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        counts, word, step = args
        chosen = builder.bitcast(word, ir.VectorType(_I1, 64))
        steps = splat(builder, builder.trunc(step, ir.IntType(16)), 64)
        return builder.add(counts, builder.select(chosen, steps, ir.Constant(steps.type, [0] * 64)))

    return counts(counts, types.uint64, types.int64), generate


@intrinsic
def store_counts(context: Any, array: Any, index: Any, counts: Any) -> Any:
    """Write 64 counters to a flat int32 array, from an index on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = builder.sext(args[2], ir.VectorType(ir.IntType(32), 64))
        builder.store(wide, pointer(context, builder, signature.args[0], args[0], args[1], wide.type), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, counts), generate


@intrinsic
def fused(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a · b + c with one rounding, in float32."""

    def generate(_: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic(prefer_literal=True)
def equal_bits(context: Any, array: Any, index: Any, value: Any) -> Any:
    """The word that says which of 64 elements of a flat array, from an index on, are a given 0 or 1."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_data_type(signature.args[0].dtype)
        kind = ir.VectorType(element, 64)
        numbers = builder.load(pointer(context, builder, signature.args[0], args[0], args[1], kind), align=1)
        wanted = ir.Constant(kind, [value.literal_value] * 64)
        integer = isinstance(element, ir.IntType)
        same = (builder.icmp_unsigned if integer else builder.fcmp_ordered)("==", numbers, wanted)
        return builder.bitcast(same, _I64)

    return types.uint64(array, types.intp, value), generate


@intrinsic
def bits_above(context: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """The word of the 64 comparisons a > b, of two float32 arrays from the places i and j on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.FloatType(), 64)
        left, right = (
            builder.load(pointer(context, builder, signature.args[k], args[k], args[k + 1], kind), align=4)
            for k in (0, 2)
        )
        return builder.bitcast(builder.fcmp_ordered(">", left, right), _I64)

    return types.uint64(a, types.intp, b, types.intp), generate


@intrinsic
def keep_larger(context: Any, best: Any, i: Any, numbers: Any, j: Any) -> Any:
    """Write to 16 elements of a flat int32 array, from a place on, those of another that are larger."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.IntType(32), 16)
        target, source = (pointer(context, builder, signature.args[k], args[k], args[k + 1], kind) for k in (0, 2))
        a, b = builder.load(target, align=4), builder.load(source, align=4)
        builder.store(builder.select(builder.icmp_signed(">", b, a), b, a), target, align=4)
        return context.get_dummy_value()

    return types.void(best, types.intp, numbers, types.intp), generate
