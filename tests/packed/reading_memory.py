"""Run as a script: reads tiny consistent files that ask for much, and prints what became of each and its memory.

For each a line: its name, "loaded" or what is wrong with it, the file's size and the growth of the process in bytes.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

import snntorch_binary as sb
from snntorch_binary.packed import PackedFileError
from snntorch_binary.packed.file import save_and_load as file

LAYER = {
    "type": "PackedLayer",
    "members": 1,
    "in_channels": 1,
    "out_channels": 1,
    "groups": 1,
    "kernel": [],
    "stride": [],
    "dilation": [],
    "padding_before": [],
    "padding_after": [],
    "shared": True,
    "ensemble": False,
    "packed_output": False,
    "bias": False,
    "fused_bias": False,
    "norm": False,
    "neuron": None,
}


def convolution(kernel, padding):
    sizes = {"kernel": kernel, "stride": [1] * 3, "dilation": [1] * 3}
    return sizes | {"padding_before": [padding] * 3, "padding_after": [padding] * 3}


FILES = {  # the number of weights, and what is other than in LAYER
    "a layer": (2**12, {"in_channels": 2**6, "out_channels": 2**6}),
    "members": (2**20, {"members": 2**20, "ensemble": True}),
    "members of their own input": (2**20, {"members": 2**20, "ensemble": True, "shared": False}),
    "outputs": (2**22, {"out_channels": 2**22}),
    "groups": (2**22, {"groups": 2**22, "in_channels": 2**22, "out_channels": 2**22}),
    "padding": (1, convolution([1] * 3, 1024)),
    "inputs": (2**22, {"in_channels": 2**22}),
    "kernels": (255**3, convolution([255] * 3, 0)),
}


def write(path, structure, tensors):
    structure = json.dumps({"type": "Sequential", "modules": structure})
    metadata = {"format": file.FORMAT, "version": "1", "structure": structure}
    save_file(tensors, path, metadata | {"sha256": file._checksum(structure, tensors)})


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        for name, (size, changes) in FILES.items():
            tensors = {
                "0.weights": torch.zeros((size + 7) // 8, dtype=torch.uint8),
                "0.scale": torch.ones(1, 1),
            }
            write(path, [["0", LAYER | changes]], tensors)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                net = sb.load_packed(path)
                net[0]._weights()  # what it keeps ready when it has run
                result = "loaded"
            except PackedFileError as error:
                result = str(error)
            growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            scale = 1 if sys.platform == "darwin" else 1024
            print(json.dumps([name, result, path.stat().st_size, growth * scale]))


if __name__ == "__main__":
    main()
