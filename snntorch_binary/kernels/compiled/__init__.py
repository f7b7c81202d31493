"""The kernels as numba compiles them; imported by :func:`snntorch_binary.kernels.engine.compiled` alone."""
