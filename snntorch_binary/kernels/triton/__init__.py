"""The kernels as Triton compiles them for a GPU; imported by :func:`snntorch_binary.kernels.engine.compiled` alone.

A file here has the functions of the file of the same name in ``compiled/``, with the same arguments, and computes the
same in the same order. What the twin rounds after each operation is rounded here too: kernels are launched with
``enable_fp_fusion=False``, so that no product and sum become one fused operation, and divide with ``div_rn``, as ``/``
on a GPU is right to 2 ulp only.
"""
