# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Frames between the runner and the guest's agent (guest/wire.h)."""
import os
import stat
import struct

DIR, FILE, DATA, SYMLINK, HARDLINK, JOB, STDIN, POINT = range(1, 9)
LOG, STDOUT, STDERR, RESULT, RESULT_DATA, KMSG, ERROR, DONE, READY = range(16, 25)
MAX_PAYLOAD = 256 << 10


def frame(kind, payload=b""):
    return struct.pack("<II", kind, len(payload)) + payload


def strings(items):
    """Payload of a JOB frame."""
    return b"".join(os.fsencode(s) + b"\0" for s in items)


def file_frames(guest_path, data, mode=0o644):
    head = struct.pack("<I", mode) + os.fsencode(guest_path)
    yield frame(FILE, head)
    for i in range(0, len(data), MAX_PAYLOAD):
        yield frame(DATA, data[i:i + MAX_PAYLOAD])


def path_frames(host_path, guest_path):
    """Frames for one file, link or folder (not its contents)."""
    st = os.lstat(host_path)
    head = struct.pack("<I", stat.S_IMODE(st.st_mode)) + os.fsencode(guest_path)
    if stat.S_ISLNK(st.st_mode):
        yield frame(SYMLINK, os.fsencode(os.readlink(host_path)) + b"\0" + os.fsencode(guest_path))
    elif stat.S_ISDIR(st.st_mode):
        yield frame(DIR, head)
    elif stat.S_ISREG(st.st_mode):
        yield frame(FILE, head)
        with open(host_path, "rb") as f:
            while True:
                data = f.read(MAX_PAYLOAD)
                if not data:
                    break
                yield frame(DATA, data)


class Parser:
    """Bytes in, (kind, payload) out."""

    def __init__(self):
        self.buf = bytearray()

    def feed(self, data):
        self.buf += data
        while len(self.buf) >= 8:
            kind, size = struct.unpack_from("<II", self.buf)
            if len(self.buf) < 8 + size:
                return
            payload = bytes(self.buf[8:8 + size])
            del self.buf[:8 + size]
            yield kind, payload
