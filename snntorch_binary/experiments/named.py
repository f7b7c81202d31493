"""A class or function that a user names, with its arguments: what makes his network and his data."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from jsonargparse import ArgumentParser
from torch import nn

from snntorch_binary._errors import expected, in_one_line, misspelt
from snntorch_binary._files import digest

Target = Callable[..., Any]
_OF_FILE = "_user_"
_NOT_ACCEPTED = re.compile("'([^']*)' is not accepted")


@dataclass(frozen=True)
class Named:
    """A class or function by name, and the arguments it is called with.

    Attributes:
        class_path: ``"package.module.Name"``, or ``"path/to/file.py:Name"``.
        init_args: its arguments by name, as plain values.
        folder: where a file or module is looked for beside Python's own path: that of the YAML file which names it.
        target: the class or function itself, where it was given as such in Python.
    """

    class_path: str
    init_args: Mapping[str, Any] = field(default_factory=dict)
    folder: str | None = field(default=None, compare=False)
    target: Target | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, argument: str, given: Any, folder: str | None = None) -> Named:
        """Return what a user has given: a class or its name, or a mapping with it as ``class_path``, and ``init_args``.

        Raises:
            ValueError: it is something else, or has other keys.
        """
        if isinstance(given, Named):
            return given
        if isinstance(given, str):
            return cls(given, folder=folder)
        if isinstance(given, Mapping):
            unknown = [key for key in given if key not in ("class_path", "init_args")]
            arguments = given.get("init_args") or {}
            if not unknown and callable(given.get("class_path")) and isinstance(arguments, Mapping):
                return cls.of(argument, given["class_path"]).with_arguments(arguments)
            if unknown or not isinstance(given.get("class_path"), str) or not isinstance(arguments, Mapping):
                what = "a mapping of class_path and init_args"
                raise ValueError(expected(argument, what, in_one_line(repr(dict(given)), 120)))
            return cls(given["class_path"], dict(arguments), folder)
        if callable(given):
            name = getattr(given, "__qualname__", type(given).__qualname__)
            return cls(f"{getattr(given, '__module__', '')}.{name}", {}, folder, given)
        raise ValueError(expected(argument, "a class or function, or its name", repr(given)))

    def with_arguments(self, more: Mapping[str, Any]) -> Named:
        """Return the same with further arguments, which take the place of those of the same name."""
        return Named(self.class_path, {**self.init_args, **more}, self.folder, self.target)

    def find(self, argument: str) -> Target:
        """Return the class or function.

        Raises:
            ValueError: there is none of this name, or importing it raises an error.
        """
        if self.target is not None:
            return self.target
        file, colon, name = self.class_path.rpartition(":")
        if not colon:
            file, _, name = self.class_path.rpartition(".")
        if not file or not name:
            what = "named as package.module.Name or path/to/file.py:Name"
            raise ValueError(expected(argument, what, repr(self.class_path)))
        module = self._module(argument, file, is_file=bool(colon))
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise ValueError(expected(argument, "a class or function", f"{self.class_path!r}, which is none"))
        return found

    def _module(self, argument: str, name: str, is_file: bool) -> ModuleType:
        _look_in(self.folder)
        try:
            return _of_file(Path(self.folder or ".") / name) if is_file else importlib.import_module(name)
        except Exception as error:  # whatever a user's module does when it is imported
            why = in_one_line(f"{self.class_path!r}: {type(error).__name__}: {error}", 300)
            raise ValueError(expected(argument, "a class or function that can be imported", why)) from None

    def filled(self, argument: str, offered: Mapping[str, Any]) -> Named:
        """Return the same with values for those parameters of these names that are not given."""
        target = self.find(argument)
        return self.with_arguments(
            {key: value for key, value in offered.items() if _takes(target, key, self.init_args)}
        )

    def takes(self, argument: str, name: str) -> bool:
        """Say whether the class or function has a parameter of this name that is not given."""
        return _takes(self.find(argument), name, self.init_args)

    def call(self, argument: str, offered: Mapping[str, Any] | None = None) -> Any:
        """Return what the class or function makes of its arguments, whose types are looked at before.

        Args:
            argument: what is said of it in errors: ``network`` or ``data``.
            offered: values for parameters of these names that are not given.

        Raises:
            ValueError: an argument is missing, unknown or of another type, or it raises an error.
        """
        target = self.find(argument)
        checked = typed(argument, target, self.filled(argument, offered or {}).init_args)
        try:
            return target(**checked)
        except Exception as error:  # of a user's constructor
            why = in_one_line(f"{type(error).__name__}: {error}", 300)
            raise ValueError(expected(argument, f"made by {self.class_path}", why)) from error

    def source(self, argument: str) -> dict[str, str]:
        """Return a digest of the code of a user's class or function by its name; nothing of one that was installed.

        Comments and spaces are left out. What the code calls is not looked at.
        """
        target = self.find(argument)
        if str(getattr(target, "__module__", "")).startswith("snntorch_binary."):
            return {}
        try:
            if {"site-packages", "dist-packages"} & set(Path(inspect.getfile(target)).parts):
                return {}
            code = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(target))))
        except (OSError, TypeError, SyntaxError):  # it has none, or is a part of an expression
            return {}
        return {self.class_path: digest(code)}

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"class_path": self.class_path, "init_args": dict(self.init_args)}


def make_network(named: Named, offered: Mapping[str, Any] | None = None) -> nn.Module:
    """Return the network that a user names.

    Raises:
        ValueError: it cannot be made, or is no module; see :meth:`Named.call`.
    """
    net = named.call("network", offered)
    if not isinstance(net, nn.Module):
        what = "a class or function that makes a torch.nn.Module"
        raise ValueError(expected("network", what, f"{type(net).__name__} from {named.class_path}"))
    return net


def modules_of_files() -> list[ModuleType]:
    """Return the modules that were imported as files: no other process finds them by their names."""
    return [module for name, module in sys.modules.items() if name.startswith(_OF_FILE)]


def typed(argument: str, target: Target, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a class or function, of the types that its signature says.

    Raises:
        ValueError: one is missing, unknown or of another type.
    """
    parser = ArgumentParser(exit_on_error=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jsonargparse, about its own future
        try:
            add = parser.add_class_arguments if inspect.isclass(target) else parser.add_function_arguments
            add(target, fail_untyped=False)
            found = getattr(parser, "instantiate", parser.instantiate_classes)(parser.parse_object(dict(arguments)))
        except Exception as error:  # of jsonargparse, which has several
            name = getattr(target, "__qualname__", repr(target))
            raise ValueError(expected(argument, f"arguments that {name} takes", said_of(error, target))) from None
    return dict(found.as_dict())


def said_of(error: Exception, target: Target) -> str:
    """Return what jsonargparse says of arguments, and which one may have been meant where it does not know one."""
    text = in_one_line(str(error), 300)
    try:
        known = inspect.signature(target).parameters
    except (TypeError, ValueError):  # of what is written in C
        return text
    for name in _NOT_ACCEPTED.findall(text)[:1]:
        return text.replace(repr(name), misspelt(name, known), 1)
    return text


def _takes(target: Target, name: str, given: Mapping[str, Any]) -> bool:
    try:
        return name not in given and name in inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False


def _look_in(folder: str | None) -> None:
    """Let modules be imported from a folder and from the current one, as by a script that lies there."""
    for place in (".", folder):
        absolute = None if place is None else str(Path(place).absolute())
        if absolute is not None and absolute not in sys.path:
            sys.path.insert(0, absolute)


def _of_file(path: Path) -> ModuleType:
    name = f"{_OF_FILE}{path.stem}_{digest(str(path.absolute()))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
