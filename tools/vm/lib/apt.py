# SPDX-License-Identifier: GPL-2.0 OR MIT
"""A private apt: own sources, lists and downloads below build/vm/apt.

The mirrors are the machine's own (read from /etc/apt, never written); only the
suites differ. Nothing is installed on the machine by this module.
"""
import glob
import os
import re
import subprocess
import time

from common import CACHE, VmError, cache_path, lock, sh

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LISTS_MAX_AGE = 24 * 3600


def host_suite():
    """Codename of the machine's Debian; guest programs must match its libc."""
    with open("/etc/os-release") as f:
        m = re.search(r"^VERSION_CODENAME=(\w+)", f.read(), re.M)
    return m.group(1) if m else "bookworm"


def _deb822_entries(text):
    for stanza in re.split(r"\n\s*\n", text):
        fields, key = {}, None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            m = re.match(r"^([\w-]+):\s*(.*)$", line)
            if m:
                key = m.group(1).lower()
                fields[key] = m.group(2)
            elif key and line.strip():
                fields[key] += " " + line.strip()
        if fields.get("enabled", "yes").lower() == "no":
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield uri, suite, fields.get("signed-by", "")


def _oneline_entries(text):
    for line in text.splitlines():
        m = re.match(r"^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+\S+", line)
        if m:
            signed = re.search(r"signed-by=([^\s\]]+)", m.group(1) or "")
            yield m.group(2), m.group(3), signed.group(1) if signed else ""


def machine_mirrors():
    """{'main': (uri, signed-by), 'security': (uri, signed-by)} of this machine."""
    suite = host_suite()
    found = {}
    files = glob.glob("/etc/apt/sources.list.d/*.sources") + \
        ["/etc/apt/sources.list"] + glob.glob("/etc/apt/sources.list.d/*.list")
    for path in files:
        try:
            with open(path) as f:
                text = f.read()
        except OSError:
            continue
        entries = _deb822_entries if path.endswith(".sources") else _oneline_entries
        for uri, name, signed in entries(text):
            if name == suite:
                found.setdefault("main", (uri, signed))
            elif name == suite + "-security":
                found.setdefault("security", (uri, signed))
    if "main" not in found:
        raise VmError("no Debian mirror for '%s' in /etc/apt\n  next: add the usual "
                      "'deb MIRROR %s main' line to /etc/apt/sources.list" % (suite, suite))
    return found


class Apt:
    """One private apt configuration: a name and the suites it sees."""

    def __init__(self, name, suites, source=False):
        self.dir = os.path.join(CACHE, "apt", name)
        self.name = name
        self.suites = suites
        self.source = source

    def options(self):
        d = self.dir
        opts = {
            "Dir::Etc::sourcelist": d + "/sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": d + "/state", "Dir::State::status": d + "/state/status",
            "Dir::Cache": d + "/cache", "APT::Sandbox::User": "root",
            "Acquire::Check-Valid-Until": "false", "Acquire::Languages": "none",
            "Acquire::Retries": "3", "APT::Install-Recommends": "false",
            "APT::Architecture": "amd64", "Dir::Etc::preferencesparts": "/dev/null",
        }
        return [x for k, v in opts.items() for x in ("-o", "%s=%s" % (k, v))]

    def _write_sources(self):
        mirrors = machine_mirrors()
        lines = []
        for suite in self.suites:
            uri, signed = mirrors.get("security" if suite.endswith("-security") else "main",
                                      mirrors["main"])
            signed = signed or (KEYRING if os.path.exists(KEYRING) else "")
            if suite.endswith("-security") and "security" not in mirrors:
                continue
            option = "[signed-by=%s] " % signed if signed.startswith("/") else ""
            for kind in ("deb", "deb-src") if self.source else ("deb",):
                lines.append("%s %s%s %s main\n" % (kind, option, uri, suite))
        for sub in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        open(self.dir + "/state/status", "a").close()
        with open(self.dir + "/sources.list", "w") as f:
            f.writelines(lines)

    def update(self, force=False):
        """Fetch the lists unless they are fresh."""
        stamp = cache_path("apt", self.name, "updated")
        fresh = os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < LISTS_MAX_AGE
        if fresh and not force:
            return
        self._write_sources()
        sh(["apt-get", *self.options(), "-qq", "update"],
           hint="check the network and the mirror in /etc/apt, then run the command again")
        open(stamp, "w").close()

    def cache(self, *args):
        r = subprocess.run(["apt-cache", *self.options(), *args], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
        return r.stdout.decode(errors="replace")

    def download(self, packages, destination):
        """apt-get download; packages are NAME or NAME=VERSION. Returns the .deb paths."""
        os.makedirs(destination, exist_ok=True)
        sh(["apt-get", *self.options(), "-qq", "download", *packages], cwd=destination,
           hint="if a package is not found, delete %s and try again" % self.dir)
        return sorted(glob.glob(destination + "/*.deb"))


    def closure(self, packages):
        """Download packages with all dependencies, as for an empty system; the .deb paths."""
        with lock("apt-" + self.name):
            sh(["apt-get", *self.options(), "-y", "-qq", "--download-only", "install", *packages],
               hint="check the package names (apt-cache show NAME)")
        out = sh(["apt-get", *self.options(), "-y", "-s", "install", *packages])
        pairs = re.findall(r"^Inst (\S+) \((\S+) .*\[(\w+)\]", out, re.M)
        return [os.path.join(self.dir, "cache/archives", "%s_%s_%s.deb" %
                             (n.split(":")[0], v.replace(":", "%3a"), a)) for n, v, a in pairs]
