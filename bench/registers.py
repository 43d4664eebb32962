"""Files made from the description of the registers (spec/registers.py).

    python bench/registers.py            # say which files are not current
    python bench/registers.py --write    # write them

They are the page docs/registers.md, the C header, SystemRDL and IP-XACT. IP-XACT is made by PeakRDL.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import jinja2
from thresher.spec.program import AttentionError, Opcode
from thresher.spec.registers import REGISTERS, SPACE_BYTES, Access, Register
from thresher.spec.spmm_command import SpmmError
from thresher.spec.system_rdl import to_rdl
from thresher.spec.vector_command import VectorError

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
RDL = ROOT / "docs" / "registers.rdl"
XML = ROOT / "docs" / "registers.xml"
TEMPLATES = {
    ROOT / "docs" / "registers.md": "registers.md.jinja",
    ROOT / "host/c/thresher_registers.h": "registers.h.jinja",
}
"""Templates beside this file, by what they make."""
DETAILS = {Opcode.PRODUCT: SpmmError, Opcode.ATTENTION: AttentionError, Opcode.VECTOR: VectorError}
"""Values of ``FAULT.detail``, by the unit."""


def access(register: Register) -> str:
    """Kinds of access of a register's fields."""
    return ", ".join(dict.fromkeys(f"`{field.access}`" for field in register.fields))


def bits(field) -> str:
    """Place of a field in its register."""
    last = field.offset + field.width - 1
    return f"{last}…{field.offset}" if field.width > 1 else f"{last}"


def texts() -> dict[Path, str]:
    """What each file but the IP-XACT should hold."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"access": access, "bits": bits}
    names = {"registers": REGISTERS, "Access": Access, "details": DETAILS}
    pages = {path: environment.get_template(name).render(names) for path, name in TEMPLATES.items()}
    return pages | {RDL: to_rdl()}


def ip_xact() -> str:
    """The registers as IP-XACT (IEEE 1685-2014)."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "thresher.rdl"), Path(folder, "thresher.xml")
        source.write_text(to_rdl(), "utf-8")
        names = ["--vendor", "thresher", "--library", "thresher", "--name", "thresher"]
        command = [sys.executable, "-P", "-m", "peakrdl", "ip-xact", str(source), "-o", str(target), *names]
        subprocess.run(command, check=True)
        # PeakRDL ends the range behind the last register.
        text, count = re.subn(r"(?<=<ipxact:range>)[^<]*", f"'h{SPACE_BYTES:x}", target.read_text("utf-8"))
        assert count == 1, "one address block"
        return text


def main() -> int:
    """Compare or write; 1 if a committed file is not current."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    wanted = texts() | {XML: ip_xact()}
    if parser.parse_args().write:
        for path, text in wanted.items():
            path.write_text(text, "utf-8")
        return 0
    old = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in old:
        print(f"{path.relative_to(ROOT)} is out of date: run with --write")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main())
