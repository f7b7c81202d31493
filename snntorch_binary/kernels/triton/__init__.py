"""The kernels as Triton compiles them for a GPU; imported by :func:`snntorch_binary.kernels.engine.compiled` alone.

A file here has the functions of the file of the same name in ``compiled/``, with the same arguments, and computes the
same in the same order. What the twin rounds after each operation is rounded here too: kernels are launched with
``enable_fp_fusion=False``, so that no product and sum become one fused operation, and divide with ``div_rn``, as ``/``
on a GPU is right to 2 ulp only.

To be checked on a device: tests/kernels/test_triton_*.py, which choose it where there is one, and the speed,
tests/benchmarks/test_gpu.py. Without one the tests run the kernels in Triton's interpreter, and look for fused and
flushing operations in what is compiled for one. Block sizes are guesses until then.
"""
