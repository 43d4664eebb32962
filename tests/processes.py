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


def living(group: int) -> list[str]:
    """Command lines of the processes of a group that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, members = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:3]
            if int(members) == group and state != "Z":
                found.append((folder / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " "))
        except (OSError, ValueError):
            continue
    return found


def working_below(path: Path) -> list[str]:
    """Processes whose working folder is below a path."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cwd").readlink().is_relative_to(path):
                found.append((folder / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " "))
        except OSError:
            continue
    return found
