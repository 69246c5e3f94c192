# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Reading the guest kernel's console: stages for progress, reports that fail a run."""
import re

# A report by the kernel: the run fails, whatever the command says.
REPORTS = re.compile(
    r"^(?:.*\] )?(?:"
    r"WARNING: (?!.*(?:Spectre|Retbleed|MDS|TAA|L1TF|unprivileged eBPF|CPU bug|bad speculation))"
    r"|BUG: |kernel BUG at|Oops: |Kernel panic|general protection fault|Unable to handle kernel"
    r"|INFO: task .* blocked for more than|INFO: rcu|rcu: INFO: .*(?:stall|self-detected)"
    r"|watchdog: BUG|NMI watchdog: .*LOCKUP|INFO: (?:possible|inconsistent|suspicious|trying to register)"
    r"|=+ ?\[ BUG: |BUG kmalloc|UBSAN: |kmemleak: \d+ new suspected|unreferenced object 0x"
    r"|traps: PANIC|double fault|stack segment: 0000|invalid opcode: 0000|divide error: 0000"
    r"|VMX: .*(?:failed|error)!|list_(?:add|del) corruption|refcount_t: |slab error in|Slab .* corrupt"
    r"|.*(?:scheduling while atomic|sleeping function called from invalid context)"
    r"|.*KASAN: |unregister_netdevice: waiting"
    r"|tlbsan: "                # not the kernel: the emulator's TLB sanitizer
    r")")
# These end the run at once: nothing will come after them.
FATAL = re.compile(r"Kernel panic - not syncing|double fault|Attempted to kill init")
PANIC = re.compile(r"Kernel panic")
# "BUG:"-like lines that are not kernel bugs.
HARMLESS = re.compile(r"Spectre|RETBleed|MMIO Stale|Transient|firmware bug|\[Firmware Bug\]|x86/cpu: "
                      r"|clocksource: .*(?:watchdog|unstable|skew)|BIOS BUG", re.I)

STAGES = [
    (re.compile(r"Linux version (\S+)"), "kernel starts: Linux %s"),
    (re.compile(r"smp: Bringing up secondary CPUs"), "kernel: starting the other CPUs"),
    (re.compile(r"smp: Brought up (\d+ nodes?, \d+ CPUs?)"), "kernel: %s"),
    (re.compile(r"Unpacking initramfs"), "kernel: unpacking the initramfs"),
    (re.compile(r"Run /init as init process"), "kernel: starting the agent"),
]

_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")


class Console:
    """Collects console text; knows whether the kernel reported something."""

    def __init__(self, progress, stages=True, ignore=None, expect=None):
        self.progress = progress
        self.expect = expect or re.compile(r"(?!)")     # PANIC: that is what CMD is about
        self.ignore = re.compile(ignore or r"(?!)")
        self.stages = list(STAGES) if stages else []
        self.lines = []
        self.partial = ""
        self.reports = []           # indexes into lines
        self.fatal = False

    def feed(self, data):
        self.partial += data.decode(errors="replace")
        *complete, self.partial = self.partial.split("\n")
        for text in complete:
            self.line(text.rstrip("\r"))

    def line(self, text):
        self.lines.append(text)
        bare = _STAMP.sub("", text)
        if self.expect.search(bare):
            return
        if REPORTS.match(bare) and not HARMLESS.search(bare) and not self.ignore.search(bare):
            self.reports.append(len(self.lines) - 1)
        if FATAL.search(bare):
            self.fatal = True
        for i, (pattern, label) in enumerate(self.stages):
            m = pattern.search(bare)
            if m:
                self.progress(label % m.groups()[:label.count("%s")])
                del self.stages[:i + 1]
                break

    def report_text(self, limit=120):
        """The reports with what follows them, as the kernel wrote it."""
        out, last = [], -1
        for start in self.reports:
            if start <= last:
                continue
            for back in range(max(last + 1, start - 3), start):
                if "[ cut here ]" in self.lines[back]:
                    out += self.lines[back:start]
            for i in range(start, min(start + 60, len(self.lines))):
                out.append(self.lines[i])
                last = i
                if re.search(r"---\[ end ", self.lines[i]):
                    break
            if len(out) > limit:
                out = out[:limit] + ["... (more in the console log)"]
                break
        return "\n".join(out)

    def hang_text(self, start, limit=300):
        """What the kernel printed from line start on, without idle kernel threads' stacks."""
        out, skip = [], False
        for text in self.lines[start:]:
            m = re.search(r"task:\S+ +state:(\w)", text)
            if m:
                skip = "ppid:2 " in text and m.group(1) not in "RD"
            elif "Showing busy workqueues" in text or "Kernel panic" in text:
                skip = False
            if not skip:
                out.append(text)
        return "\n".join(out[:limit])

    def tail(self, count=25):
        return "\n".join(self.lines[-count:] + ([self.partial] if self.partial else []))
