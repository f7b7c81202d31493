"""Which functions of a C program a Cortex-M spends its instructions in, as qemu's log of each of them says."""

import subprocess
from collections import Counter

_EACH = ("-singlestep", "-d", "exec,nochain", "-D", "/dev/stdout")


def by_function(board, elf):
    """Return the share of all instructions by function of the source, inlined ones apart, the largest first.

    The program is compiled with -g, so that the compiler says which instruction is of which function.
    """
    command = [board.emulator[0], *_EACH, *board.emulator[1:], str(elf)]
    executed = Counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in process.stdout:
            if line.startswith(b"Trace"):
                executed[line.split(b"/")[1].decode()] += 1
    asked = subprocess.run(
        ["arm-none-eabi-addr2line", "--functions", f"--exe={elf}"],
        input="\n".join(executed),
        capture_output=True,
        text=True,
        check=True,
    )
    of = Counter()
    for count, name in zip(executed.values(), asked.stdout.splitlines()[::2], strict=True):
        of[name] += count
    return {name: count / executed.total() for name, count in of.most_common()}
