"""Processes that hang, and whether they have ended."""

import os
import re
import subprocess
import time
from pathlib import Path

HANGING = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
    "print('pids', os.getpid(), child.pid, flush=True)\n"
    "time.sleep(300)\n"
)
"""Program that starts a child, prints the numbers of both processes, and waits."""


def numbers(process: subprocess.Popen[str]) -> list[int]:
    """The numbers in the line that :data:`HANGING` prints."""
    assert process.stdout is not None
    return [int(pid) for pid in re.findall(r"\d+", process.stdout.readline())]


def gone(pid: int) -> bool:
    """Whether a process has ended, or will not run again."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False
