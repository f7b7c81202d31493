"""What nodes send in the stages of SecAgg+, read as data of strangers before Flower's workflow sees it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flwr.app import ConfigRecord, Message

from snntorch_binary.federated.flower.answers import Refused, UnfitError, bytes_of, one_each, why_failed
from snntorch_binary.federated.flower.records import decoded

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of what Flower imports
    from flwr.common import Code, FitRes, Parameters, Status
    from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
    from flwr.compat.common.recorddict_compat import fitres_to_recorddict

MASK_RANGE = 2**32
"""Of masks and of the sums of masked numbers."""
_PUBLIC_KEYS = (Key.PUBLIC_KEY_1, Key.PUBLIC_KEY_2)
_LONGEST = 4096  # bytes of a key, a share or a ciphertext; Flower's have some hundred
_CURVE = "secp384r1"  # of Flower's keys
_SEED_SHARE = 52  # bytes of a share of a seed: its number, and 32 bytes padded to 48

Config = dict[str, Any]
"""What one message of the protocol holds, by name."""
Item = TypeVar("Item", int, bytes)


@dataclass(frozen=True)
class StageAnswer:
    """A node's answer in a stage.

    Attributes:
        reply: with what Flower's workflow needs and nothing else, or why it does not count.
        num_bytes: of the message on the wire, 0 for an error.
    """

    reply: Message | Refused
    num_bytes: int


def read_stage(asked: Mapping[int, Config], replies: Iterable[Message], num_values: int) -> dict[int, StageAnswer]:
    """Return the answer of each node that has answered in a stage.

    Args:
        asked: what each node was asked.
        replies: whatever came.
        num_values: numbers in a masked vector, without the weight.
    """
    found: dict[int, StageAnswer] = {}
    configs: dict[int, Config] = {}
    for node, reply in one_each(replies, asked).items():
        size = _size(reply)
        of_others = {name: value for name, value in asked[node].items() if name != str(node)}  # without its own keys
        config = size if isinstance(size, Refused) else _config(of_others, cast(Message, reply), num_values)
        num_bytes = 0 if isinstance(size, Refused) else size
        if isinstance(config, Refused):
            found[node] = StageAnswer(config, num_bytes)
        else:
            configs[node] = config
            found[node] = StageAnswer(_usable(cast(Message, reply), config), num_bytes)
    for node, why in {**_with_keys_of_others(configs), **_odd(configs)}.items():
        found[node] = StageAnswer(Refused(why), found[node].num_bytes)
    return found


def _size(reply: Message | Refused) -> int | Refused:
    """Return how many bytes a reply is, or why it does not count."""
    if isinstance(reply, Refused):
        return reply
    return Refused(why_failed(reply), failed=True) if reply.has_error() else bytes_of(reply)


def _config(asked: Config, reply: Message, num_values: int) -> Config | Refused:
    """Return what a reply should hold, and nothing else."""
    try:
        given = reply.content.config_records.get(RECORD_KEY_CONFIGS)
        if given is None:
            raise UnfitError("its answer has nothing of secure aggregation")
        return _READERS[asked[Key.STAGE]](asked, dict(given), num_values)
    except UnfitError as unfit:
        return Refused(str(unfit))


def _usable(reply: Message, config: Config) -> Message:
    """Return a reply as Flower's workflow reads it: with the older interface's answer behind the masked vectors."""
    usable = copy(reply)
    usable.content = fitres_to_recorddict(FitRes(Status(Code.OK, ""), Parameters([], ""), 1, {}), keep_input=False)
    usable.content[RECORD_KEY_CONFIGS] = ConfigRecord(config)
    return usable


def _public_keys(asked: Config, given: Config, num_values: int) -> Config:
    kept: Config = {}
    for name in _PUBLIC_KEYS:
        data = given.get(name)
        if not isinstance(data, bytes) or len(data) > _LONGEST:
            raise UnfitError(f"its public key {name} is missing or none")
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise UnfitError(f"its public key {name} cannot be decoded") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != _CURVE:
            raise UnfitError(f"its public key {name} is of another kind")
        kept[name] = data
    return kept


def _key_shares(asked: Config, given: Config, num_values: int) -> Config:
    others = [int(node) for node in asked if node != Key.STAGE]
    nodes, ciphertexts = _list(given, Key.DESTINATION_LIST, int), _list(given, Key.CIPHERTEXT_LIST, bytes)
    if sorted(nodes) != sorted(others) or len(ciphertexts) != len(nodes):
        raise UnfitError("it did not send one share of its keys to each of the others")
    return {Key.DESTINATION_LIST: nodes, Key.CIPHERTEXT_LIST: ciphertexts}


def _masked_vector(asked: Config, given: Config, num_values: int) -> Config:
    parts = _list(given, Key.MASKED_PARAMETERS, bytes, longest=None)
    if len(parts) != 2:
        raise UnfitError(f"it sent {len(parts)} arrays and not a masked weight and a masked vector")
    for name, data, size in zip(("its masked weight", "its masked vector"), parts, (1, num_values), strict=True):
        try:
            numbers = decoded(name, data)
        except ValueError as error:
            raise UnfitError(str(error)) from None
        if numbers.dtype != torch.int64:
            raise UnfitError(f"{name} is {numbers.dtype} and not torch.int64")
        if numbers.shape != (size,):
            raise UnfitError(f"{name} has shape {tuple(numbers.shape)} and not {(size,)}")
        if size and not 0 <= int(numbers.min()) <= int(numbers.max()) < MASK_RANGE:
            raise UnfitError(f"{name} has numbers outside the range of masks")
    return {Key.MASKED_PARAMETERS: parts}


def _shares(asked: Config, given: Config, num_values: int) -> Config:
    active, dead = asked[Key.ACTIVE_NODE_ID_LIST], asked[Key.DEAD_NODE_ID_LIST]
    nodes, shares = _list(given, Key.NODE_ID_LIST, int), _list(given, Key.SHARE_LIST, bytes)
    if sorted(nodes) != sorted([*active, *dead]) or len(shares) != len(nodes):
        raise UnfitError("it did not send one share for each client it was asked about")
    for node, share in zip(nodes, shares, strict=True):
        if len(share) < 20 or len(share) % 16 != 4 or (node in active and len(share) != _SEED_SHARE):
            raise UnfitError(f"its share for node {node} has a wrong length")
    return {Key.NODE_ID_LIST: nodes, Key.SHARE_LIST: shares}


_READERS: dict[str, Callable[[Config, Config, int], Config]] = {
    Stage.SETUP: _public_keys,
    Stage.SHARE_KEYS: _key_shares,
    Stage.COLLECT_MASKED_VECTORS: _masked_vector,
    Stage.UNMASK: _shares,
}


def _list(given: Config, name: str, kind: type[Item], longest: int | None = _LONGEST) -> list[Item]:
    values = given.get(name)
    if not isinstance(values, list) or any(type(value) is not kind for value in values):
        raise UnfitError(f"its {name} are missing or no list of {kind.__name__}")
    if longest is not None and any(isinstance(value, bytes) and len(value) > longest for value in values):
        raise UnfitError(f"its {name} are longer than {longest} bytes")
    return values


def _with_keys_of_others(configs: Mapping[int, Config]) -> dict[int, str]:
    """Say which nodes sent a public key twice, or one that another sent, too: whose it is, nobody knows."""
    keys = {node: [config[name] for name in _PUBLIC_KEYS if name in config] for node, config in configs.items()}
    count = Counter(key for pair in keys.values() for key in pair)
    why = "a public key of it is another's as well"
    return {node: why for node, pair in keys.items() if any(count[key] > 1 for key in pair)}


def _odd(configs: Mapping[int, Config]) -> dict[int, str]:
    """Say which nodes sent a share that is not as long as others' of the same client, or has the number of another."""
    shares = [
        (node, owner, share)
        for node, config in configs.items()
        for owner, share in zip(config.get(Key.NODE_ID_LIST, ()), config.get(Key.SHARE_LIST, ()), strict=True)
    ]
    numbers = Counter((owner, share[:4]) for _, owner, share in shares)
    lengths: dict[int, Counter[int]] = {}
    for _, owner, share in shares:
        lengths.setdefault(owner, Counter())[len(share)] += 1
    usual = {owner: count.most_common(1)[0][0] for owner, count in lengths.items()}
    return {
        node: f"its share for node {owner} is not of the others' kind"
        for node, owner, share in shares
        if len(share) != usual[owner] or numbers[owner, share[:4]] > 1
    }
