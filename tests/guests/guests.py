# SPDX-License-Identifier: MIT
"""Runs faultline in machines of other architectures and page sizes, emulated by QEMU.

usage: guests.py PROGRAM [--work DIR] [--only NAME] [--tests REGEX]

For each guest: a kernel and the few libraries of its architecture are fetched from the distribution, the program is
built for it (the static minimal build) and so are the physics tests, both are put into an initramfs, and the guest is
booted with an ext4 disk of its own. In it the physics tests run, then plans of some scenarios that PROGRAM has resolved
for the guest's page size: those of faults, copy-on-write and sync, or what only this guest has. Its records come back
over the console, are read by the analysis, and stay in WORK/GUEST/runs.

One guest is there to count instructions instead, which an emulator does exactly. Another one has sockets, dies, threads
and memory nodes: there PROGRAM itself runs, with the libraries that it is linked with, and makes the plans, too.

Every check is a TAP line, also one that cannot be made here, with its reason; status 1 when one failed.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import lzma
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import distances

TREE = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # status of a test program of which nothing could run
PACKAGES = ("libjansson-dev", "libjansson4", "zlib1g-dev", "zlib1g", "libcmocka-dev", "libcmocka0", "busybox-static")
# Those that a kernel has built in are not missed.
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "loop", "overlay", "nd_e820", "nd_pmem")
FOLDERS = ("bin", "lib", "proc", "sys", "dev", "tests", "plans", "modules", "mnt", "var/tmp", "tmp", "run", "etc")
SCENARIOS = ("faults", "cow", "sync")
TRIALS = 1  # of each cell
RUN_LIMIT = "300s"  # of each plan
DISK_BYTES = 1536 * 1024 * 1024  # sparse
BOOT_LIMIT_S = 1500
DAX_BYTES = 96 * 1024 * 1024  # of the filesystem on memory that is storage
BEGIN, END = "----- begin records -----", "----- end records -----"


SET_UP_DISK = """mount -t ext4 /dev/vda /var/tmp || echo "guest: no disk"
"""
# Reserved huge pages, control groups of version 2 alone, and an ext4 mounted so that loads and stores reach the medium.
SET_UP_MEMORY = """mkdir -p /sys/fs/cgroup /mnt/dax
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
echo 64 >/proc/sys/vm/nr_hugepages
zcat /dax.gz >/dev/pmem0 && mount -t ext4 -o dax=always /dev/pmem0 /mnt/dax || echo "guest: no DAX"
chmod 1777 /mnt/dax
"""
# Where one thread emulates all CPUs; tests that see what two do at the same time then have nothing to see.
SET_UP_TURNS = """export FAULTLINE_CPUS_TAKE_TURNS=1
"""
# QEMU 7.2 spoils the flags of CMPXCHG16B, and code that one CPU patches while another runs it.
X86_IN_TURNS = ("-accel", "tcg,thread=single")


class Impossible(Exception):
    """This guest cannot be tried here; the text says why."""


class Broken(Exception):
    """What is under test cannot be built or planned for a guest; the text is the end of the output."""


@dataclass(frozen=True)
class Ask:
    """A plan made in the guest, on its own topology."""

    name: str  # of the run
    words: str  # of the command line
    trials: int  # too few for any verdict: whether it is measured where it should be is asked here, not what it costs


@dataclass(frozen=True)
class Guest:
    """A machine: what it is made of, and what its kernel says of itself."""

    name: str
    architecture: str  # of the distribution
    triple: str  # of the compiler and of library folders
    kernel: str  # regular expression of the package's name
    image: str  # file name of the kernel in it, up to its version
    qemu: tuple[str, ...]
    console: str
    page_bytes: int
    emulator: str  # package
    kernel_options: str = ""
    set_up: str = SET_UP_DISK  # shell, before the tests
    counts: bool = False  # it is there to count instructions exactly, not to run scenarios
    scenarios: tuple[str, ...] = SCENARIOS
    on_dax: tuple[str, ...] = ()  # those of them whose files lie on memory that is storage
    succeeds: tuple[tuple[str, str], ...] = ()  # (scenario, arm): what has to be measured here, every cell of it
    counters: str = ""  # events that are counted beside by every plan
    processors: str = "2"  # of QEMU's -smp
    tests: str = ""  # regular expression: only the physics tests with such a name
    asks: tuple[Ask, ...] = ()  # what it plans itself and runs then, by the whole program


GUESTS = (
    Guest(
        name="aarch64-16k",
        architecture="arm64",
        triple="aarch64-linux-gnu",
        kernel=r"^linux-image-6\.12\..*-arm64-16k$",
        image="vmlinuz",
        qemu=("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on"),
        console="ttyAMA0",
        page_bytes=16384,
        emulator="qemu-system-arm",
    ),
    Guest(
        name="ppc64le-64k",
        architecture="ppc64el",
        triple="powerpc64le-linux-gnu",
        kernel=r"^linux-image-6\.12\..*-powerpc64le-64k$",
        image="vmlinux",
        qemu=(
            "qemu-system-ppc64",
            "-M",
            "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off",
            "-cpu",
            "POWER9",
        ),
        console="hvc0",
        page_bytes=65536,
        emulator="qemu-system-ppc",
        counters="instructions,cycles",
    ),
    # What few machines have: memory that is storage (DAX), reserved huge pages, control groups of version 2 alone.
    Guest(
        name="x86-memory",
        architecture="amd64",
        triple="x86_64-linux-gnu",
        kernel=r"^linux-image-6\.12\..*-cloud-amd64$",
        image="vmlinuz",
        qemu=("qemu-system-x86_64", "-M", "q35", "-cpu", "qemu64,-cx16", *X86_IN_TURNS),
        console="ttyS0",
        page_bytes=4096,
        emulator="qemu-system-x86",
        kernel_options="memmap=256M!1G",
        set_up=SET_UP_DISK + SET_UP_MEMORY + SET_UP_TURNS,
        scenarios=("access/map-sync", "access/memory", "faults/anonymous", "faults/tlb", "pressure/random"),
        on_dax=("access/map-sync",),
        succeeds=(
            ("access/map-sync", "map-sync"),
            ("access/memory", "mapped"),
            ("faults/anonymous", "hugetlb"),
            ("faults/tlb", "anonymous-hugetlb"),
            ("pressure/random", "mapped-random"),
        ),
    ),
    # What no machine at hand has: two sockets, dies, SMT and four memory nodes, as the whole program sees them.
    Guest(
        name="x86-numa",
        architecture="amd64",
        triple="x86_64-linux-gnu",
        kernel=r"^linux-image-6\.12\..*-cloud-amd64$",
        image="vmlinuz",
        # Linux reads what QEMU tells of dies (leaf 0x1f) of this maker alone; a later model would be slower to emulate.
        qemu=("qemu-system-x86_64", "-M", "q35", "-cpu", "Nehalem-v1,-cx16", *X86_IN_TURNS, *distances.memory_nodes()),
        processors=distances.PROCESSORS,
        console="ttyS0",
        page_bytes=4096,
        emulator="qemu-system-x86",
        # A clock that can be read, and pages that stay where they were made.
        kernel_options="tsc=reliable mitigations=off numa_balancing=disable",
        set_up=SET_UP_DISK + SET_UP_TURNS,
        tests="^test_homes$",
        scenarios=(),
        asks=(
            Ask("ping-pong", "contention/ping-pong", trials=5),
            Ask("false-sharing", "contention/false-sharing", trials=5),
            Ask("hand-off", "contention/hand-off", trials=5),
            Ask("home", "contention/home", trials=5),
            Ask("memory-node", "access/memory-node", trials=3),
            Ask("matrix-class", "contention/matrix", trials=3),
            Ask("matrix-pu", "contention/matrix --matrix pu", trials=3),
        ),
    ),
    # Time is the number of instructions, and nothing that the host does or draws by chance comes in.
    Guest(
        name="aarch64-counted",
        architecture="arm64",
        triple="aarch64-linux-gnu",
        kernel=r"^linux-image-6\.12\..*-cloud-arm64$",
        image="vmlinuz",
        qemu=(
            "qemu-system-aarch64",
            "-M",
            "virt,dtb-randomness=off",
            "-cpu",
            "cortex-a57",
            "-icount",
            "shift=0,sleep=off",
            "-rtc",
            "base=2026-01-01,clock=vm",
        ),
        console="ttyAMA0",
        page_bytes=4096,
        emulator="qemu-system-arm",
        kernel_options="nokaslr norandmaps randomize_kstack_offset=off",
        processors="1",
        counts=True,
        scenarios=("access/memory",),
        counters="instructions",
    ),
)
COUNTED = {"pread": 4, "mmap": 1, "first_touch": 3, "cow_break": 5}  # method: 0.1 % of its instructions, rounded up
COUNTED_OPERATIONS = (1000, 1001)  # the second is 0.1 % more work, which has to show
COUNTED_BOOTS = 3
GOLDEN = TREE / "tests/guests/instructions.json"

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /tmp /var/tmp /run
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
"""
HELLO = """page_bytes=$(awk '/KernelPageSize/ {print $2 * 1024; exit}' /proc/self/smaps)
echo "guest: kernel $(uname -r), page of $page_bytes bytes"
"""
COUNT = """while read line; do
    /tests/instructions $line 2>&1 | sed 's/^/guest: instructions /'
done </counted
"""
TRY = """for module in $(cat /modules/order); do insmod /modules/$module; done 2>/dev/null
SET UP
chmod 1777 /var/tmp /tmp /dev/shm
cd /tests
for test in $(ls | grep '^test_'); do
    begin=$(cut -d. -f1 /proc/uptime)
    CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 ./$test >/tmp/out 2>&1
    status=$?
    echo "guest: test $test status $status"
    echo "guest: seconds $(($(cut -d. -f1 /proc/uptime) - begin)) $test"
    if [ $status -ne 0 ] && [ $status -ne 77 ]; then grep -v '^ok' /tmp/out | head -n 40; fi
    if [ $status -eq 0 ] || [ $status -eq 77 ]; then
        sed -n 's/^.*: skipped: /guest: why /p; s/^.*# SKIP /guest: skip /p' /tmp/out
    fi
done
cd /
ASK
"""
# Runs the plans and sends what came of them.
RUN = """for plan in /plans/*.json; do
    [ -e $plan ] || continue
    name=$(basename $plan .json)
    begin=$(cut -d. -f1 /proc/uptime)
    timeout 400 /bin/faultline run --plan $plan --out /tmp/runs/$name --quiet >/tmp/out 2>&1
    status=$?
    echo "guest: run $name status $status"
    echo "guest: seconds $(($(cut -d. -f1 /proc/uptime) - begin)) $name"
    if [ $status -ne 0 ]; then tail -n 20 /tmp/out; fi
done
echo "guest: left behind: $(ls -A /var/tmp /mnt/dax 2>/dev/null | grep -Ev '^/|^$|^lost.found$' | tr '\\n' ' ')"
echo "BEGIN"
mkdir -p /tmp/made
tar -C /tmp -czf - runs made | base64
echo "END"
poweroff -f
"""
# The program sees the machine and makes plans for it, of the asked-for number of trials.
ASK = r"""mkdir -p /tmp/made
for program in faultline faultline-static; do
    $program machine --json >/tmp/made/$program.json
    echo "guest: $program machine status $?"
done
while read -r name trials words; do
    faultline plan $words COSTS --json >/tmp/plan 2>/tmp/out
    echo "guest: plan $name status $?"
    cat /tmp/out
    tr -d '\n' </tmp/plan | sed "s/\"rungs\": *\[[^]]*\]/\"rungs\": [$trials]/" >/plans/$name.json
done </asked
"""
# As little work as still runs every arm: a CPU that waits for another one has to wait for its turn to be emulated.
ASK_COSTS = f"--profile quick --set batch_time=1us --set arm_time=1us --set count_ops=64 --budget {RUN_LIMIT} --seed 1"


def call(
    words: list[str], failure: type[Exception] = Impossible, **options: object
) -> subprocess.CompletedProcess[str]:
    """Runs a program; `failure` with the end of its output when it fails."""
    try:
        done = subprocess.run(
            words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options  # type: ignore[call-overload]
        )
    except FileNotFoundError:
        raise Impossible(f"{words[0]} is not installed") from None
    if done.returncode != 0:
        raise failure(f"{' '.join(words[:3])}: {done.stdout.strip()[-1500:]}")
    return done


# ---- what a guest is made of ----


def apt_root(architecture: str, folder: pathlib.Path) -> dict[str, str]:
    """Package lists of an architecture in a folder of their own; returns the environment that makes apt use them."""
    parts = ("lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d")
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    keys = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    release = re.search(r"^VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text(), re.M)
    if not release or not shutil.which("apt-get"):
        raise Impossible("guests are put together from packages of Debian")
    suites = (release[1], f"{release[1]}-backports")
    (folder / "etc/sources.list").write_text(
        "".join(f"deb {keys} http://deb.debian.org/debian {suite} main\n" for suite in suites)
    )
    (folder / "apt.conf").write_text(
        f'APT::Architecture "{architecture}";\nAPT::Architectures {{ "{architecture}"; }};\n'
        f'APT::Sandbox::User "root";\nDir::State "{folder}";\nDir::State::lists "{folder}/lists";\n'
        f'Dir::State::status "{folder}/status";\nDir::Cache "{folder}/cache";\nDir::Etc "{folder}/etc";\n'
        'Dir::Etc::trusted "/etc/apt/trusted.gpg.d";\n'
    )
    return {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}


def newest(pattern: str, environment: dict[str, str]) -> str:
    """The package with the highest version in its name."""
    lines = call(["apt-cache", "search", "--names-only", pattern], env=environment).stdout.splitlines()
    names = [line.split()[0] for line in lines if line]
    if not names:
        raise Impossible(f"no package matches {pattern}")
    return max(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])


def fetch(architecture: str, packages: Iterable[str], folder: pathlib.Path) -> pathlib.Path:
    """
    Packages unpacked into one folder; kept, so that a second call fetches nothing. What begins with ^ is a regular
    expression: the newest that matches.
    """
    root, debs, done = folder / "root", folder / "debs", folder / "fetched"
    if done.exists():
        return root
    for rest in (root, debs):
        shutil.rmtree(rest, ignore_errors=True)
    debs.mkdir(parents=True)
    environment = apt_root(architecture, folder / "apt")
    call(["apt-get", "-q", "update"], env=environment)
    names = [newest(name, environment) if name.startswith("^") else name for name in packages]
    call(["apt-get", "-q", "download", *names], env=environment, cwd=debs)
    for deb in sorted(debs.glob("*.deb")):
        call(["dpkg-deb", "-x", str(deb), str(root)])
    shutil.rmtree(debs)
    shutil.rmtree(folder / "apt")
    done.touch()
    return root


def build(guest: Guest, root: pathlib.Path, folder: pathlib.Path) -> None:
    """The static program and the physics tests, for the guest."""
    words = ["cmake", "-S", str(TREE), "-B", str(folder), *(["-G", "Ninja"] if shutil.which("ninja") else [])]
    words += [f"-DCMAKE_TOOLCHAIN_FILE={TREE}/tests/guests/toolchain.cmake"]
    words += [f"-DGUEST_TRIPLE={guest.triple}", f"-DGUEST_ROOT={root}", "-DCMAKE_BUILD_TYPE=Release"]
    words += ["-DFAULTLINE_MINIMAL=ON", "-DFAULTLINE_GUEST=ON", "-DFAULTLINE_WERROR=ON"]
    if not shutil.which(f"{guest.triple}-gcc"):
        raise Impossible(f"{guest.triple}-gcc is not installed")
    call(words, Broken)
    call(["cmake", "--build", str(folder), "-j", str(len(os.sched_getaffinity(0)))], Broken)


def module_bytes(path: pathlib.Path) -> bytes:
    """A module as the kernel takes it."""
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


def modules_in_order(root: pathlib.Path) -> dict[str, bytes]:
    """The kernel modules that the guest loads by name, each after those that it says it depends on."""
    paths = {path.name.partition(".")[0].replace("-", "_"): path for path in (root / "lib/modules").rglob("*.ko*")}
    out: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in out or name not in paths:
            return
        content = module_bytes(paths[name])
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for need in needs[1].decode().split(",") if needs and needs[1] else []:
            add(need.replace("-", "_"))
        out[name] = content

    for wanted in MODULES:
        add(wanted)
    return out


def libraries(guest: Guest, root: pathlib.Path) -> Iterator[pathlib.Path]:
    """The shared libraries that the tests are linked with: the cross compiler's own, and cmocka."""
    cross = pathlib.Path("/usr") / guest.triple / "lib"
    cross = cross if cross.is_dir() else pathlib.Path("/lib") / guest.triple  # this machine's own
    for pattern in ("libc.so.6", "libm.so.6", "ld*.so.*", "libgcc_s.so.1", "libpthread.so.0"):
        yield from cross.glob(pattern)
    for name in ("libcmocka.so.0", "libjansson.so.4", "libz.so.1"):
        yield from root.glob(f"**/{guest.triple}/{name}")


def tests_of(guest: Guest, built: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """The programs that the guest runs."""
    if guest.counts:
        return [built / "tests/instructions"]
    found = sorted((built / "tests").glob("test_*"))
    wanted = (guest.tests, pattern)
    return [path for path in found if path.is_file() and all(re.search(one, path.name) for one in wanted)]


def stage(guest: Guest, kernel: pathlib.Path, root: pathlib.Path, built: pathlib.Path, pattern: str) -> pathlib.Path:
    """The initramfs as a folder, without plans."""
    top = built.parent / "initramfs"
    shutil.rmtree(top, ignore_errors=True)
    for part in FOLDERS:
        (top / part).mkdir(parents=True)
    (top / "lib64").symlink_to("lib")
    for program in (root / "bin/busybox", built / "faultline"):
        shutil.copy2(program, top / "bin")
    for program in tests_of(guest, built, pattern):
        shutil.copy2(program, top / "tests")
    for library in libraries(guest, root):
        shutil.copy2(library.resolve(), top / "lib" / library.name)
    modules = {} if guest.counts else modules_in_order(kernel)
    for name, content in modules.items():
        (top / "modules" / f"{name}.ko").write_bytes(content)
    (top / "modules/order").write_text("".join(f"{name}.ko\n" for name in modules))
    (top / "counted").write_text("".join(f"{key}\n" for key in counted_keys()))
    asking = ASK.replace("COSTS", ASK_COSTS) if guest.asks else ""
    trying = TRY.replace("SET UP\n", guest.set_up).replace("ASK\n", asking)
    script = INIT + HELLO + (COUNT if guest.counts else trying) + RUN
    if guest.on_dax:
        (top / "dax.gz").write_bytes(gzip.compress(empty_filesystem(built.parent / "dax", DAX_BYTES), mtime=0))
    (top / "init").write_text(script.replace("BEGIN", BEGIN).replace("END", END))
    (top / "init").chmod(0o755)
    return top


def closure(program: pathlib.Path) -> list[pathlib.Path]:
    """The shared libraries that the program is linked with on this machine, which has to be one that can lend them."""
    if platform.machine() != "x86_64":
        raise Impossible(f"it runs {program} itself, and this machine is no x86-64 but {platform.machine()}")
    found = re.findall(r"(/\S+) \(0x", call(["ldd", str(program)]).stdout)
    if not any("libhwloc" in path for path in found):
        raise Impossible(f"{program} is not linked with hwloc, which tells how CPUs lie")
    return [pathlib.Path(path) for path in found]


def stage_whole(program: pathlib.Path, asks: Iterable[Ask], top: pathlib.Path) -> None:
    """Puts the program itself into the initramfs, in place of the static one, with its scenarios as if installed; the
    static one has to say what the machine is, too."""
    (top / "bin/faultline").rename(top / "bin/faultline-static")
    shutil.copy2(program, top / "bin/faultline")
    for library in closure(program):
        shutil.copy2(library.resolve(), top / "lib" / library.name)
    shutil.copytree(TREE / "scenarios", top / "share/faultline/scenarios")
    (top / "asked").write_text("".join(f"{ask.name} {ask.trials} {ask.words}\n" for ask in asks))


def empty_filesystem(path: pathlib.Path, size: int) -> bytes:
    """An ext4 of blocks as large as pages, which DAX asks for."""
    try:
        with path.open("wb") as stream:
            stream.truncate(size)
        call(["mkfs.ext4", "-q", "-F", "-b", "4096", str(path)])
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def pack(top: pathlib.Path, out: pathlib.Path) -> None:
    """
    The folder as an archive (cpio, new ASCII form) that the kernel unpacks. Without times and without the numbers of
    files: the same contents are the same archive, and a machine that counts instructions unpacks it in as many of them.
    """
    with out.open("wb") as stream:

        def add(name: str, mode: int, content: bytes) -> None:
            fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
            head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
            for part in (head, content):
                stream.write(part + b"\0" * (-len(part) % 4))

        for number, path in enumerate(sorted(top.rglob("*")), 1):
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = os.readlink(path).encode()
            else:
                content = path.read_bytes() if path.is_file() else b""
            add(str(path.relative_to(top)), mode, content)
        number = 0
        add("TRAILER!!!", 0, b"")


# ---- what it does ----


def plan_all(program: pathlib.Path, guest: Guest) -> dict[str, str]:
    """Plans of the scenarios, resolved for the guest's page size, with as little work as still runs every arm."""
    out = {}
    for folder in guest.scenarios:
        words = [str(program), "plan", folder, "--json", "--profile", "quick", "--page-bytes", str(guest.page_bytes)]
        words += ["--set", "arm_time=1ms", "--set", "batch_time=1ms", "--budget", RUN_LIMIT, "--seed", "1"]
        words += ["--counters", guest.counters] if guest.counters else []
        done = subprocess.run(words, text=True, capture_output=True, cwd=TREE)
        if done.returncode != 0:
            raise Broken(f"plan {folder} for pages of {guest.page_bytes} bytes: {done.stderr.strip()}")
        plan = json.loads(done.stdout)
        for scenario in plan["scenarios"]:
            scenario["rungs"] = [TRIALS]  # whether cells run is asked here, not what they cost
        if folder in guest.on_dax:
            plan["directory"] = "/mnt/dax"
        out[folder.replace("/", "-")] = json.dumps(plan)
    return out


def qemu(guest: Guest, kernel: pathlib.Path, work: pathlib.Path) -> list[str]:
    """The command that boots the guest; its console goes to the file console."""
    image = next((kernel / "boot").glob(f"{guest.image}-*"))
    words = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []  # not to outlive this program
    words += [*guest.qemu, "-smp", guest.processors, "-m", "2048", "-no-reboot", "-nodefaults"]
    words += ["-display", "none", "-serial", f"file:{work / 'console'}"]
    words += ["-kernel", str(image), "-initrd", str(work / "initramfs.cpio")]
    words += ["-append", f"console={guest.console} quiet panic=-1 {guest.kernel_options}"]
    if not guest.counts:
        words += ["-drive", f"file={work / 'disk'},if=virtio,format=raw,cache=unsafe"]
    return words


def boot(guest: Guest, kernel: pathlib.Path, work: pathlib.Path) -> str:
    """Boots the guest and returns what it wrote to its console."""
    if not shutil.which(guest.qemu[0]):
        raise Impossible(f"{guest.qemu[0]} is not installed: it is in {guest.emulator}")
    disk, console = work / "disk", work / "console"
    console.unlink(missing_ok=True)
    try:
        if not guest.counts:
            with disk.open("wb") as stream:
                stream.truncate(DISK_BYTES)
            call(["mkfs.ext4", "-q", "-F", str(disk)])
        done = subprocess.run(
            qemu(guest, kernel, work),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BOOT_LIMIT_S,
        )
        rest = done.stdout
    except subprocess.TimeoutExpired:
        rest = f"\nguest: not over after {BOOT_LIMIT_S} s\n".encode()
    finally:
        disk.unlink(missing_ok=True)
    text = (console.read_bytes() if console.exists() else b"") + rest
    return text.decode(errors="replace").replace("\r", "")


def records_of(text: str, into: pathlib.Path) -> list[pathlib.Path]:
    """The runs that the guest has sent."""
    found = re.search(f"{BEGIN}\n(.*?)\n{END}", text, re.S)
    if not found:
        return []
    shutil.rmtree(into / "runs", ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(found[1])), mode="r:gz") as archive:
        archive.extractall(into, members=[member for member in archive if member.isfile() and ".." not in member.name])
    return sorted((into / "runs").iterdir())


def arms_of(run: pathlib.Path) -> list[tuple[str, str, str, str]]:
    """(scenario and cell, arm, status, reason) of every arm of every record."""
    out = []
    for line in (run / "trials.jsonl").read_text().splitlines():
        record = json.loads(line)
        where = f"{record['scenario']} {record['cell']}"
        out += [(where, arm["name"], arm["status"], arm["reason"] or "") for arm in record["arms"]]
    return out


def counted_of(guest: Guest, run: pathlib.Path) -> list[tuple[str, str, int, dict[str, int | None]]]:
    """(scenario and cell, arm, operations, {event: count}) of every arm that was measured."""
    out, names = [], guest.counters.split(",")
    for line in (run / "trials.jsonl").read_text().splitlines():
        record = json.loads(line)
        where = f"{record['scenario']} {record['cell']}"
        for arm in record["arms"]:
            if arm["status"] == "ok" and arm["counts"]:
                out.append((where, arm["name"], arm["counts"]["ops"], {name: arm["counts"].get(name) for name in names}))
    return out


def judge_events(checks: Checks, guest: Guest, run: pathlib.Path) -> None:
    """The emulated counters count instructions; of cycles an emulated machine has none, and that is what is said."""
    found = counted_of(guest, run)
    for where, arm, ops, events in found[:4]:
        each = (events["instructions"] or 0) / ops
        print(f"# {guest.name} (emulated): {where}: {arm}: {each:.1f} instructions per operation")
    wrong = [str(one) for one in found if (one[3]["instructions"] or 0) < one[2]]
    checks.check(bool(found) and not wrong, f"{guest.name}: {run.name}: instructions are counted", "\n".join(wrong))
    if "cycles" in guest.counters:
        published = [str(one) for one in found if one[3]["cycles"] is not None]
        checks.check(not published, f"{guest.name}: {run.name}: no cycles of an emulated machine", "\n".join(published))


def counted_keys() -> list[str]:
    """Arguments of the program instructions: plain, with an operation more, with a few instructions more in each."""
    few, more = COUNTED_OPERATIONS
    return [
        f"{method} {rest}" for method, extra in COUNTED.items() for rest in (f"{few} 0", f"{more} 0", f"{few} {extra}")
    ]


class Checks:
    """TAP lines and their count."""

    def __init__(self) -> None:
        self.count = self.failed = 0

    def check(self, good: bool, name: str, why: str = "") -> None:
        """One line; with why it failed."""
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}", flush=True)
        if not good:
            print("".join(f"# {line}\n" for line in why.splitlines()[:30]), end="", flush=True)


    def skip(self, name: str, why: str) -> None:
        """What cannot be checked here."""
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {name}: {why}", flush=True)


def judge_tests(checks: Checks, guest: Guest, text: str) -> None:
    """Each physics test as the guest saw it: a line for the program, and one for each of its cases that was skipped."""
    found = re.findall(r"^guest: test (\S+) status (\d+)\n((?:(?!guest: (?:test|run|left)).*\n)*)", text, re.M)
    checks.check(bool(found), f"{guest.name}: the physics tests ran", text[-3000:])
    for name, status, output in found:
        lines = re.findall(r"^guest: (why|skip) (.*)$", output, re.M)
        if status != str(SKIPPED) or not any(kind == "skip" for kind, _ in lines):
            checks.check(status == "0", f"{guest.name}: {name}", output)
        why = "no reason given"
        for kind, rest in lines:
            if kind == "skip":
                checks.skip(f"{guest.name}: {name}: {rest}", why)
            why = rest if kind == "why" else "no reason given"
    seconds = [int(n) for n in re.findall(r"^guest: seconds (\d+)", text, re.M)]
    print(f"# {guest.name}: {sum(seconds)} s in {len(seconds)} programs")


def judge_successes(checks: Checks, guest: Guest, arms: list[tuple[str, str, str, str]]) -> None:
    """What no other machine may have is measured here."""
    for scenario, name in guest.succeeds:
        found = [(status, reason) for where, arm, status, reason in arms if where.split()[0] == scenario and arm == name]
        good = bool(found) and all(status == "ok" for status, _ in found)
        checks.check(good, f"{guest.name}: {scenario}: {name} is measured", "\n".join(map(str, found)) or "no record")


def analyse(command: str, run: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """A command of the analysis, here."""
    environment = {**os.environ, "PYTHONPATH": str(TREE / "scripts")}
    words = [sys.executable, "-m", f"faultline.{command}", str(run)]
    return subprocess.run(words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def judge_run(checks: Checks, guest: Guest, run: pathlib.Path) -> None:
    """No arm failed, and the analysis reads the records."""
    manifest = json.loads((run / "manifest.json").read_text())
    over = manifest["stopped"] in ("trials", "precision") and manifest["finished"] == manifest["expected"]
    whole = over and manifest["exit_status"] == 0
    checks.check(whole, f"{guest.name}: {run.name}: all trials have run", json.dumps(manifest, indent=1)[:1500])
    arms = arms_of(run)
    failed = sorted({f"{where}: {arm}: {reason}" for where, arm, status, reason in arms if status == "failed"})
    good = bool(arms) and not failed
    checks.check(good, f"{guest.name}: {run.name}: no arm failed", "\n".join(failed) or "no record")
    measured = sum(status == "ok" for _, _, status, _ in arms)
    print(f"# {guest.name}: {run.name}: {measured} arms measured")
    if guest.counters:
        judge_events(checks, guest, run)
    unsupported = sorted({f"{arm}: {reason}" for _, arm, status, reason in arms if status not in ("ok", "failed")})
    print("".join(f"# {guest.name}: {run.name}: {line}\n" for line in unsupported), end="")
    done = analyse("report", run)
    checks.check(done.returncode == 0, f"{guest.name}: {run.name}: the analysis reads it", done.stdout[-1500:])
    if guest.asks:
        done = analyse("plot", run)
        checks.check(done.returncode == 0, f"{guest.name}: {run.name}: it can be drawn", done.stdout[-1500:])
        head = (run / "report.html").read_text().partition("</header>")[0]
        said = "emulated machine" in head
        checks.check(said, f"{guest.name}: {run.name}: the report says that it is emulated", head[-1500:])


def judge(checks: Checks, guest: Guest, text: str, work: pathlib.Path) -> None:
    """Everything that is to hold of a guest's console. work: its folder, where its runs are left in `runs`."""
    page = f"page of {guest.page_bytes} bytes"
    checks.check(page in text, f"{guest.name}: {page}", text[-2000:])
    judge_tests(checks, guest, text)
    checks.check("guest: left behind: \n" in text, f"{guest.name}: nothing is left behind", text[-500:])
    runs = records_of(text, work)
    whole = len(runs) == len(guest.scenarios) + len(guest.asks)
    checks.check(whole, f"{guest.name}: records came back", text[-1500:])
    for run in runs:
        judge_run(checks, guest, run)
    judge_successes(checks, guest, [arm for run in runs for arm in arms_of(run)])
    if guest.asks and whole:
        distances.judge(checks.check, guest.name, work, runs, text)


@dataclass(frozen=True)
class Count:
    """What the program instructions says of one method: instructions of an operation, of most of them; of all."""

    typical: int
    share_percent: int
    total: int


def counts_of(text: str) -> dict[str, Count]:
    """ "METHOD OPERATIONS EXTRA" → instructions, as the guest printed them."""
    found = re.findall(r"^guest: instructions (\w+ \d+ \d+) (\d+) (\d+) (\d+)$", text, re.M)
    return {key: Count(int(typical), int(share), int(total)) for key, typical, share, total in found}


def judge_counts(checks: Checks, guest: Guest, boots: list[str]) -> None:
    """Instructions repeat exactly from boot to boot, a little more work shows, and they are what they were."""
    counts = [counts_of(text) for text in boots]
    complete = all(set(one) == set(counted_keys()) for one in counts)
    checks.check(complete, f"{guest.name}: instructions are counted", "\n".join(boots)[-2000:])
    if not complete:
        return
    same = all(one == counts[0] for one in counts)
    checks.check(same, f"{guest.name}: {len(boots)} boots count the same", "\n".join(map(str, counts)))
    few, more = COUNTED_OPERATIONS
    for method in COUNTED:
        one = counts[0][f"{method} {few} 0"]
        print(f"# {guest.name}: {method}: {one.typical} instructions in {one.share_percent} % of operations")
        checks.check(one.share_percent > 50, f"{guest.name}: most operations of {method} take as many", str(one))
        grown = all(c[f"{method} {more} 0"].total > c[f"{method} {few} 0"].total for c in counts)
        checks.check(grown, f"{guest.name}: one operation of {method} in {few} more shows", str(counts))
    judge_golden(checks, guest, boots[0], counts)
    judge_runs(checks, guest, boots)


def judge_runs(checks: Checks, guest: Guest, boots: list[str]) -> None:
    """What the suite itself counts beside the operations repeats from boot to boot, too."""
    events = []
    with tempfile.TemporaryDirectory() as folder:
        for text in boots:
            runs = records_of(text, pathlib.Path(folder))
            checks.check(len(runs) == len(guest.scenarios), f"{guest.name}: records came back", text[-1500:])
            for run in runs:
                judge_run(checks, guest, run)
            events.append([one for run in runs for one in counted_of(guest, run)])
    same = all(one == events[0] for one in events)
    why = "\n".join(str(pair) for one in events for pair in zip(events[0], one) if pair[0] != pair[1])
    checks.check(bool(events[0]) and same, f"{guest.name}: {len(boots)} boots count the same beside operations", why)


def judge_golden(checks: Checks, guest: Guest, text: str, counts: list[dict[str, Count]]) -> None:
    """
    The committed counts hold for one kernel and compiler; of another one they say nothing. They are those of most
    operations: the others are not the same from one build to the next.
    """
    compiler = call([f"{guest.triple}-gcc", "--version"]).stdout.splitlines()[0]
    kernel = re.search(r"^guest: kernel (\S+),", text, re.M)
    key = f"{kernel[1] if kernel else 'unknown'}; {compiler}"
    few = COUNTED_OPERATIONS[0]
    found = [{method: one[f"{method} {few} 0"].typical for method in COUNTED} for one in counts]
    changed = [{method: one[f"{method} {few} {extra}"].typical for method, extra in COUNTED.items()} for one in counts]
    golden = json.loads(GOLDEN.read_text()).get(key)
    if not golden:
        checks.skip(f"{guest.name}: the golden counts", f"none for {key}: {json.dumps(found[0])}")
        return
    equal = all(one == golden for one in found)
    checks.check(equal, f"{guest.name}: the counts are the golden ones", f"{golden}, {found}")
    for method, extra in COUNTED.items():
        enough = 1000 * extra >= golden[method]
        seen = all(one[method] == golden[method] + extra for one in changed)
        name = f"{guest.name}: {extra} instructions more in {method} (0.1 %) are found in every boot"
        checks.check(enough and seen, name, f"{golden}, {changed}")


def prepare(
    guest: Guest, top: pathlib.Path, program: pathlib.Path, pattern: str
) -> tuple[pathlib.Path, pathlib.Path]:
    """Fetches and builds what the guest is made of. Returns the folders of its kernel and of its initramfs.cpio."""
    plans = plan_all(program, guest)
    if guest.asks:
        closure(program)  # before anything is fetched
    work = top / guest.name
    kernel = fetch(guest.architecture, [guest.kernel], work)
    root = fetch(guest.architecture, PACKAGES, top / guest.architecture)
    built = top / guest.architecture / "build"
    build(guest, root, built)
    folder = stage(guest, kernel, root, built, pattern)
    if guest.asks:
        stage_whole(program, guest.asks, folder)
    for name, plan in plans.items():
        (folder / "plans" / f"{name}.json").write_text(plan)
    pack(folder, work / "initramfs.cpio")
    return kernel, work


def guest_count(checks: Checks, guest: Guest, top: pathlib.Path, program: pathlib.Path) -> None:
    """A guest that counts, booted several times."""
    kernel, work = prepare(guest, top, program, "")
    judge_counts(checks, guest, [boot(guest, kernel, work) for _ in range(COUNTED_BOOTS)])


def guest_try(checks: Checks, guest: Guest, top: pathlib.Path, program: pathlib.Path, pattern: str) -> None:
    """One guest from its packages to its verdicts."""
    kernel, work = prepare(guest, top, program, pattern)
    judge(checks, guest, boot(guest, kernel, work), work)


def main() -> int:
    """All guests, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=TREE / "build/guests")
    parser.add_argument("--only", choices=[guest.name for guest in GUESTS])
    parser.add_argument("--tests", default="", metavar="REGEX", help="only the physics tests with such a name")
    options = parser.parse_args()
    top = options.work.resolve()
    for number in (signal.SIGINT, signal.SIGTERM):  # as an exception, so that all is undone
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # of mkfs
    checks = Checks()
    for guest in GUESTS:
        if options.only in (None, guest.name):
            try:
                if guest.counts:
                    guest_count(checks, guest, top, options.program.resolve())
                else:
                    guest_try(checks, guest, top, options.program.resolve(), options.tests)
            except Impossible as why:
                checks.skip(guest.name, " ".join(str(why).split()))
            except Broken as why:
                checks.check(False, f"{guest.name}: it is built, and its plans are made", str(why))
    print(f"1..{checks.count}")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
