#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Turns the compiled BPF object into a C file, so that the library needs no file at run time.

usage: embed.py OBJECT OUTPUT
"""
import sys


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as source:
        data = source.read()
    lines = [
        "/* SPDX-License-Identifier: BSD-3-Clause */",
        "/* Made from floodgate.bpf.o by xdp/embed.py. */",
        '#include "xdp/object.h"',
        "",
        "const _Alignas(8) unsigned char fg_xdp_object[] = {",
    ]
    for at in range(0, len(data), 16):
        lines.append("    " + " ".join(f"0x{byte:02x}," for byte in data[at : at + 16]))
    lines += ["};", "const size_t fg_xdp_object_size = sizeof(fg_xdp_object);", ""]
    with open(sys.argv[2], "w", encoding="ascii") as target:
        target.write("\n".join(lines))


if __name__ == "__main__":
    main()
