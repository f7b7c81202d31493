"""`snntorch-binary export --to FORMAT RUN OUT`: a trained network for use elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from snntorch_binary._errors import expected
from snntorch_binary._files import replacing, tensor_bytes
from snntorch_binary.commands import device, trained
from snntorch_binary.weights import binary_layers

if TYPE_CHECKING:
    from snntorch_binary.experiments.description import TrainedRun

_EPILOG = """formats:
  nir     a NIR graph for Norse, snnTorch, nirtorch and neuromorphic hardware; NIR has no soft reset: train with
          --model.init_args.net.init_args.reset_mechanism zero, or give --allow-lossy
  packed  1 bit per weight, for snntorch_binary.load_packed
  torch   a state dict of plain torch layers with weights scale * (+1 or -1), for torch.load(OUT, weights_only=True)
  onnx    a program for onnxruntime and others, for as many time steps as in training; needs onnx, onnxscript and
          onnxruntime
  c       a folder of C99 for microcontrollers, 1 bit per weight, exact against packed; with a Makefile, as a library
          for Arduino and as a module for Zephyr
  mem     a folder of memory images for an FPGA, 1 bit per weight, and a JSON file of their layout

examples:
  snntorch-binary export --to packed --members 10 results/digits/runs/bayes-seed0/last.ckpt digits.safetensors
  snntorch-binary export --to c --members 10 --name digits results/digits/runs/bayes-seed0 digits_c
  snntorch-binary export --to nir --weights 7 results/digits-bayes/version_0/checkpoints/last.ckpt digits.nir
"""


def add_to(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "export",
        help="write a run's network: C, NIR, 1-bit, ONNX or plain torch",
        description="Write the network of a run, for use without training.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--to", choices=tuple(_FORMATS), required=True, help="what to write, see below")
    trained.add_run(parser)
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="file to write, of c and mem a folder; one that is there is replaced"
    )
    parser.add_argument(
        "--weights",
        type=_weights,
        default="mode",
        metavar="WHICH",
        help="mode (default), mean (not two-valued), or the seed of a draw from the posterior",
    )
    parser.add_argument(
        "--members", type=int, metavar="K", help="packed, c, mem: an ensemble of K draws in place of one network"
    )
    device.add_to(parser)
    parser.add_argument("--allow-lossy", action="store_true", help="nir: put hard resets in place of soft ones")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    parser.set_defaults(run=run_command)


def run_command(options: argparse.Namespace) -> None:
    """Read the run, write the file, and say what it holds.

    Raises:
        ValueError: the run is none, the network cannot be written in this format, or options do not fit.
        OSError: the file cannot be written.
    """
    of_bits = options.to in ("packed", *device.WRITERS)
    if options.members is not None and (not of_bits or options.members < 1 or options.weights != "mode"):
        what = "a positive integer, with --to packed, c or mem and without --weights"
        raise ValueError(expected("--members", what, options.members))
    device.check(options)
    if options.allow_lossy and options.to != "nir":
        raise ValueError(expected("--allow-lossy", "left out", f"--to {options.to}"))
    is_folder = options.to in device.WRITERS
    if not is_folder and (options.out.is_dir() or not options.out.absolute().parent.is_dir()):
        raise ValueError(expected("OUT", "a file in a folder that exists", repr(str(options.out))))
    run = trained.load(options, *_EXTRAS.get(options.to, ()))
    if run.norms is not None and options.weights != "mode":
        what = "mode for a network with batch norms, which have statistics for the mode and an ensemble's members only"
        raise ValueError(expected("--weights", what, options.weights))
    if is_folder:
        said = device.write(run, options, *_packed(run, options))
        if not options.quiet:
            print(said)
        return
    with replacing(options.out) as temporary:
        what = _WRITERS[options.to](run, temporary, options)
    if not options.quiet:
        print(f"Written to {options.out}: {what}, {options.out.stat().st_size:,} bytes")


def _to_nir(run: TrainedRun, path: Path, options: argparse.Namespace) -> str:
    import nir

    from snntorch_binary.export import NIRExportError, to_nir

    try:
        graph = to_nir(run.net, _sample(run), options.weights, allow_lossy=options.allow_lossy)
    except NIRExportError as error:
        raise NIRExportError(str(error).replace("allow_lossy=True", "--allow-lossy")) from None
    nir.write(path, graph)
    return f"a NIR graph of {len(graph.nodes)} nodes, which Norse loads with dt=1e-4"


def _sample(run: TrainedRun) -> Tensor:
    """Return spikes as a network is shown them; one that is no chain of layers is recorded over a few time steps."""
    described = run.description
    if isinstance(run.net, nn.Sequential):
        return torch.zeros(*([] if described.num_steps is None else [1]), 1, *described.input_shape)
    return _spikes(run, None if described.num_steps is None else min(3, described.num_steps))


def _spikes(run: TrainedRun, num_steps: int | None) -> Tensor:
    """Return two examples of spikes, or of numbers where it is shown these, as the network takes them."""
    described = run.description
    steps = [] if num_steps is None else [num_steps]
    shape = [2, *steps] if described.data.get("time", "first") == "batch-first" else [*steps, 2]
    generator = torch.Generator().manual_seed(0)
    if described.shown_numbers:
        return torch.rand(*shape, *described.input_shape, generator=generator)
    return torch.randint(0, 2, (*shape, *described.input_shape), generator=generator).float()


def _to_packed(run: TrainedRun, path: Path, options: argparse.Namespace) -> str:
    from snntorch_binary import save_packed

    packed, _ = _packed(run, options)
    save_packed(packed, path)
    many = "" if options.members is None else f"{options.members} members of "
    return f"{many}1 bit per weight, for snntorch_binary.load_packed"


def _packed(run: TrainedRun, options: argparse.Namespace) -> tuple[nn.Module, Tensor]:
    """Return the packed network or ensemble, and an input as it takes it."""
    from snntorch_binary import Ensemble, pack

    net, reading, shown = run.net, dict(run.description.reading), _sample(run)
    if run.description.shown_numbers and isinstance(net, nn.Sequential):
        shown = _spikes(run, run.description.num_steps)
    sample = None if isinstance(net, nn.Sequential) and not run.description.shown_numbers else shown
    if not binary_layers(net):
        raise ValueError(expected("RUN", f"one of binary weights for --to {options.to}", "one in full precision"))
    if options.weights == "mean":
        raise ValueError(
            expected("--weights", f"mode or a seed for --to {options.to}", "mean, which is not two-valued")
        )
    if options.members is not None:
        drawn = any(layer.rule.is_drawn for layer in binary_layers(net).values())
        if options.members > 1 and not drawn and run.passed is None:
            what = "left out for a network without a posterior (ST-BiSNN), which has one member"
            raise ValueError(expected("--members", what, options.members))
        names: Collection[int]
        if drawn or run.passed is None:
            ensemble, names = Ensemble(net, num_members=options.members, seed=0, **reading), range(options.members)
        else:
            passed = run.members(options.members)
            ensemble, names = Ensemble.of(passed.values(), **reading), passed.keys()
        if run.norms is not None:
            for name, member in zip(names, ensemble.members, strict=True):
                run.norms.put_(member, name)
        return pack(ensemble, sample), shown
    return pack(net if options.weights == "mode" else _frozen(net, options.weights), sample), shown


def _to_torch(run: TrainedRun, path: Path, options: argparse.Namespace) -> str:
    plain = _frozen(run.net, options.weights) if binary_layers(run.net) else run.net
    path.write_bytes(tensor_bytes(plain.state_dict()))
    if type(plain) is not nn.Sequential:
        return f"a state dict of {run.description.network.class_path} in float"
    names = [
        f"Linear({layer.in_features}, {layer.out_features})" if isinstance(layer, nn.Linear) else type(layer).__name__
        for layer in plain
    ]
    return f"a state dict of Sequential({', '.join(names)})"


def _frozen(net: nn.Module, weights: str | int) -> nn.Module:
    from snntorch_binary import freeze

    if isinstance(weights, int):
        return freeze(net, "binary", torch.Generator().manual_seed(weights))
    return freeze(net, "mean" if weights == "mean" else "mode")


def _weights(text: str) -> str | int:
    if text in ("mode", "mean"):
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"expected mode, mean or a seed of at least 0, but got {text!r}")


def _to_onnx(run: TrainedRun, path: Path, options: argparse.Namespace) -> str:
    from snntorch_binary.export import to_onnx

    steps = run.description.num_steps
    sample = _spikes(run, steps)
    to_onnx(run.net, sample, path, options.weights)
    return f"an ONNX program for inputs of the shape {[*sample.shape]}" + ("" if steps is None else ", any batch size")


_WRITERS = {"nir": _to_nir, "packed": _to_packed, "torch": _to_torch, "onnx": _to_onnx}
_FORMATS = (*_WRITERS, *device.WRITERS)
_EXTRAS: dict[str, tuple[str, ...]] = {"nir": ("export",), "packed": ("export",), "onnx": ("onnx",)}
