"""Ctrl+C at the worst moment: in the middle of a line that is being printed."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent("""
    import io, signal, sys
    from m2dino.commands.console import stop_on_interrupt

    class InterruptedOnce(io.RawIOBase):
        done = False

        def writable(self):
            return True

        def write(self, data):
            if not self.done:
                self.done = True
                signal.raise_signal(signal.SIGINT)
            return len(data)

    with stop_on_interrupt() as should_stop:
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(InterruptedOnce()))
        print("a line of progress", file=sys.stderr, flush=True)
        print(should_stop())
""")


def test_an_interrupt_in_the_middle_of_a_line_asks_to_stop() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "stopping" in done.stderr
