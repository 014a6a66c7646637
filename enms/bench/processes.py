"""What processes cost, from /proc: processor time and memory, children included."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds since the start, and memory now; a page shared by n processes is counted 1/n each."""

    cpu_s: float
    memory_mib: float


def cost(pid: int, *, children: bool = True) -> Cost:
    """Return what a process and its children cost; those that ended count as far as they were waited for."""
    cpu_s = memory_mib = 0.0
    for one in _family(pid) if children else [pid]:
        try:
            fields = _stat(one)
            memory_mib += _memory_mib(one)
        except OSError:  # it ended meanwhile
            continue
        # Its own, and with the eldest what the dead ones used.
        used = fields[11:15] if children and one == pid else fields[11:13]
        cpu_s += sum(map(int, used)) / _TICKS
    return Cost(cpu_s, memory_mib)


def peak_memory_mib(pid: int) -> float:
    """Return the most memory a single process had since it started or since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB / _MIB
    return 0.0


def forget_peak(pid: int) -> None:
    """Let the peak begin again at what the process has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _family(pid: int) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                children[int(_stat(int(folder.name))[1])].append(int(folder.name))
            except OSError:
                continue
    found = [pid]
    for one in found:
        found += children[one]
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of stat from the state on: a program's name may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _memory_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * _KIB / _MIB
    except (OSError, StopIteration):  # not ours to look into: the resident pages, shared ones in full
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / _MIB
