"""numba looks at a kernel's own file only when it decides whether what it has on disk is still the kernel."""

import hashlib
from pathlib import Path

import pytest

import snntorch_binary.kernels

FOLDER = Path(snntorch_binary.kernels.__file__).parent / "compiled"
SHARED = [path for path in FOLDER.glob("*.py") if "@announced" not in path.read_text() and path.stem != "__init__"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_kernels_say_the_digest_of_what_they_are_compiled_with(path):
    text = path.read_text()
    for shared in SHARED:
        # A shared file says it of what it shares, so that its own digest moves along.
        if f"compiled.{shared.stem} import" in text:
            digest = hashlib.sha256(shared.read_bytes()).hexdigest()[:8]
            assert f"# {shared.name}: {digest}" in text, f"put the comment `# {shared.name}: {digest}` into {path.name}"
