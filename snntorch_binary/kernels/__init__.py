"""Fused scans, updates and their noise: each in plain torch, compiled by numba, and for a GPU by Triton.

A file here says in plain torch what is computed; that twin is the reference, runs on every device, and is what
is left without numba (``pip install "snntorch-binary[fast]"``). The file of the same name in ``compiled/`` computes it
in one pass over memory, the one in ``triton/`` (``pip install "snntorch-binary[gpu]"``) on a GPU. Nothing here knows of
layers or optimizers.
"""

from snntorch_binary.kernels.engine import use_engine as use_engine
