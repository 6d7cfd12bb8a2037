# SPDX-License-Identifier: MIT
"""Filesystems made for a run: what each can do, that nobody else sees them, and that nothing of them stays, whatever
ends the run. Without root, or unasked, their cells are left out and say so."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import helper

MADE = ["ext4", "xfs", "btrfs", "overlay", "fuse"]
NOBODY = 65534
SCENARIO = """question: Does it work there?
op: block read
delta: 0.0001%
common: {{file_bytes: 2MiB, recipe: write-64KiB, pattern: random, arm_time: {arm_time}, batch_time: 50us, count_ops: 16,
         latency: none{common}}}
vary:
  {vary}
arms:
  - {{name: pread, method: pread, buffer: reused}}
  - {{name: mapped, method: mmap, sharing: shared, consume: in_place, lifetime: kept}}
profiles:
  quick: {{trials: {trials}, precision: 0.0001%}}
"""


def write_scenario(scratch: helper.Scratch, vary: str, common: str = "", trials: int = 2, arm_time: str = "1ms") -> str:
    path = scratch.path / "made.yaml"
    path.write_text(SCENARIO.format(vary=vary, common=common, trials=trials, arm_time=arm_time))
    return str(path)


def run_words(scratch: helper.Scratch, vary: str, *words: str, **scenario: object) -> list[str]:
    return ["run", write_scenario(scratch, vary, **scenario), "--profile", "quick", "--directory", str(scratch.files),
            "--seed", "7", "--no-report", "--out", str(scratch.out), *words]


def backings(names: list[str]) -> str:
    return f"backing: [{', '.join(names)}]"


def loop_images(scratch: helper.Scratch) -> list[str]:
    """Loop devices whose image lies, or lay, in the folder of this case."""
    found = []
    for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if str(scratch.path) in path.read_text():
                found.append(path.parts[3])
    return found


def mounts_of(process: int | str, scratch: helper.Scratch) -> list[str]:
    """Mounts below the folder of this case, as a process sees them."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path(f"/proc/{process}/mountinfo").read_text().splitlines()
        return [line for line in lines if str(scratch.path) in line]
    return []


def mounts_anywhere(scratch: helper.Scratch) -> list[str]:
    """The same for any process of this machine: also in mount namespaces of their own."""
    return [line for path in pathlib.Path("/proc").glob("[0-9]*") for line in mounts_of(path.name, scratch)]


def check_nothing_left(scratch: helper.Scratch, swept: bool = True) -> None:
    """No process, mount, loop device or file. A killed run leaves its folders, which the next one sweeps."""
    helper.wait_for("all processes to be gone", lambda: not scratch.processes(), 10)
    helper.wait_for("all loop devices to be gone", lambda: not loop_images(scratch), 10)
    assert mounts_anywhere(scratch) == []
    if swept:
        assert scratch.leftovers() == [], scratch.leftovers()
    else:
        files = [path.name for folder in scratch.files.iterdir() for path in folder.iterdir()]
        assert set(files) <= {"lock"}, f"more than the lock of a folder is left: {files}"


def needs_made(names: list[str] = MADE) -> None:
    """Skips the case where this machine cannot make them: that each reason is true is another case's matter."""
    helper.needs_root()
    tools = {"ext4": "mkfs.ext4", "xfs": "mkfs.xfs", "btrfs": "mkfs.btrfs", "overlay": "mkfs.ext4", "fuse": "bindfs"}
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for name in names:
        helper.needs_tool(tools[name])
    if not pathlib.Path("/dev/loop-control").exists():
        raise helper.Skip("there are no loop devices here")
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise helper.Skip(f"no mounts of its own: {done.stderr.strip()}")


def by_backing(found: list[dict]) -> dict[str, list[dict]]:
    """Records by the backing of their cell."""
    table: dict[str, list[dict]] = {}
    for record in found:
        table.setdefault(record["params"]["backing"], []).append(record)
    return table


def test_left_out_unasked(scratch: helper.Scratch) -> None:
    """plan and run say the same, and the other cells are measured."""
    words = run_words(scratch, backings(["file", *MADE]))
    plan = scratch.call(["plan", words[1], "--directory", str(scratch.files), "--json"])
    helper.check_status(plan, 0)
    told = json.loads(plan.stdout)
    assert told["make_filesystems"] is False and [cell["params"]["backing"] for cell in told["cells"]] == ["file"]
    assert {cell["cell"] for cell in told["refused"]} == {f"backing={name}" for name in MADE}
    for cell in told["refused"]:
        assert cell["reason"].startswith("needs --make-filesystems"), cell
    result = scratch.call(words)
    helper.check_status(result, 0)
    assert result.stderr.count("needs --make-filesystems") == len(MADE), result.stderr
    assert set(by_backing(helper.records(scratch.out))) == {"file"}
    check_nothing_left(scratch)


def test_nothing_left_to_measure(scratch: helper.Scratch) -> None:
    result = scratch.call(run_words(scratch, backings(["ext4"])))
    helper.check_status(result, 2)
    assert "no cell is left to measure" in result.stderr and "needs --make-filesystems" in result.stderr, result.stderr
    assert not scratch.out.exists()


def test_others_cannot(scratch: helper.Scratch) -> None:
    """Asked for without root, they are left out too; the suite's own scenarios run."""
    helper.needs_tool("setpriv")
    scratch.path.chmod(0o755)
    program = scratch.path / "faultline"
    shutil.copy(helper.PROGRAM, program)
    shutil.copytree(helper.TREE / "scenarios", scratch.path / "scenarios")
    prefix = []
    if os.geteuid() == 0:
        os.chown(scratch.files, NOBODY, NOBODY)
        prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    names = [f"{folder}/filesystems" for folder in ("access", "faults", "sync")]
    out = scratch.files / "run"
    words = ["run", *(str(scratch.path / "scenarios" / f"{name}.yaml") for name in names), "--profile", "quick",
             "--make-filesystems", "--budget", "6s", "--directory", str(scratch.files), "--no-report", "--out",
             str(out)]
    result = scratch.call(words, program=program, prefix=prefix, cwd="/")
    helper.check_status(result, 0)
    found = helper.records(out)
    assert {record["scenario"] for record in found} == set(names)
    assert "needs root: btrfs is made and mounted" in result.stderr, result.stderr
    assert set(by_backing(found)) == {"file", "tmpfs", "memfd"}, set(by_backing(found))
    for record in found:
        assert all(arm["status"] == "ok" for arm in record["arms"]), helper.reasons(found)
    shutil.rmtree(out)
    check_nothing_left(scratch)


def test_all_of_them(scratch: helper.Scratch) -> None:
    """Each is measured, and its records say what it was. Nobody else has seen it."""
    needs_made()
    before = pathlib.Path("/proc/self/mountinfo").read_text()
    process = scratch.start(run_words(scratch, backings(MADE), "--make-filesystems", trials=4))
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    inside = mounts_of(process.pid, scratch)
    assert {line.split(" - ")[1].split()[0] for line in inside} >= {"tmpfs", "ext4", "xfs", "btrfs", "overlay"}, inside
    assert pathlib.Path("/proc/self/mountinfo").read_text() == before, "a mount shows outside"
    assert len(loop_images(scratch)) == 3, "ext4, xfs and btrfs have a device each"
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    found = by_backing(helper.records(scratch.out))
    assert set(found) == set(MADE), set(found)
    for name, records in found.items():
        assert len(records) == 4
        for arm in (arm for record in records for arm in record["arms"]):
            assert arm["status"] == "ok", (name, arm["reason"])
            made = arm["proof"]["filesystem"]
            assert made["type"].split(".")[0] == name and made["block_bytes"] >= 4096 and made["options"], made
            assert made["direct_io"] in (True, False) and str(scratch.path) not in json.dumps(made), made
    assert helper.manifest(scratch.out)["plan"]["make_filesystems"] is True
    check_nothing_left(scratch)


def test_cold_is_read_from_the_device(scratch: helper.Scratch) -> None:
    """Evicting works, and what is then read comes from the image: for each filesystem by its own device."""
    needs_made()
    common = ", cache: cold, block_bytes: 4KiB, working_set_bytes: 1MiB"
    result = scratch.call(run_words(scratch, backings(MADE), "--make-filesystems", common=common))
    helper.check_status(result, 0)
    assert "what fuse has read stays in the page cache of the filesystem below" in result.stderr, result.stderr
    for name, records in by_backing(helper.records(scratch.out)).items():
        arms = [arm for record in records for arm in record["arms"]]
        if not arms[0]["proof"]["filesystem"]["direct_io"]:
            continue
        for arm in arms:
            assert arm["status"] == "ok", (name, arm["reason"])
            assert arm["proof"]["resident_before"] == 0, (name, arm["proof"])
            assert arm["counts"]["device_read_bytes"] >= arm["counts"]["ops"] * 4096 > 0, (name, arm["counts"])
            assert arm["counts"]["read_bytes"] > 0, (name, arm["counts"])
    check_nothing_left(scratch)


def test_read_ahead(scratch: helper.Scratch) -> None:
    """Set around the trials of a cell, on our own device only: with none, cold random faults fetch single pages."""
    names = ["ext4", "xfs", "btrfs", "overlay"]
    needs_made(names)
    vary = f"{backings([*names, 'file', 'tmpfs'])}\n  read_ahead: [as-found, none, 128KiB]"
    vary += "\nexclude:\n  - {backing: tmpfs, read_ahead: as-found}"
    common = ", cache: cold, block_bytes: 4KiB, touches: 1, per: pass"
    result = scratch.call(run_words(scratch, vary, "--make-filesystems", common=common))
    helper.check_status(result, 0)
    assert result.stderr.count("read_ahead is set only on devices made for the run") == 4, result.stderr
    found = by_backing(helper.records(scratch.out))
    for name in names:
        fetched = {}
        for record in found[name]:
            wanted, arm = record["params"]["read_ahead"], record["arms"][1]
            assert arm["status"] == "ok", (name, arm["reason"])
            kib = arm["proof"]["filesystem"]["read_ahead_kb"]
            assert kib == {"none": 0, "128KiB": 128}.get(wanted, kib), (name, wanted, kib)
            assert kib > 0 or wanted == "none"
            fetched.setdefault(wanted, set()).add(arm["counts"]["device_read_bytes"] // arm["counts"]["ops"])
        # Metadata is read too, once in a while.
        assert min(fetched["none"]) < 2 * 4096 < 8 * 4096 < min(fetched["128KiB"]), (name, fetched)
    check_nothing_left(scratch)


def test_killed(scratch: helper.Scratch) -> None:
    """kill -9 of the program, with all of them mounted and a trial running: the kernel takes everything away."""
    needs_made()
    for moment in ("mounted", "trial"):
        words = run_words(scratch, backings(MADE), "--make-filesystems", trials=30, arm_time="20ms")
        process = scratch.start(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if moment == "trial":
            helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
        else:
            helper.wait_for("an image", lambda: loop_images(scratch))
        process.kill()
        process.wait()
        check_nothing_left(scratch, swept=False)
        shutil.rmtree(scratch.out, ignore_errors=True)
    for path in scratch.files.iterdir():
        os.utime(path, (time.time() - 86400,) * 2)
    helper.check_status(scratch.call(run_words(scratch, backings(["ext4"]), "--make-filesystems")), 0)
    check_nothing_left(scratch)


def test_interrupted(scratch: helper.Scratch) -> None:
    needs_made()
    for number in (signal.SIGINT, signal.SIGTERM):
        process = scratch.start(run_words(scratch, backings(MADE), "--make-filesystems", trials=30, arm_time="20ms"))
        helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
        assert process.returncode == 128 + number, (process.returncode, error)
        check_nothing_left(scratch)
        shutil.rmtree(scratch.out)


def test_resumed(scratch: helper.Scratch) -> None:
    """A run that was cut goes on with filesystems made anew."""
    needs_made(["ext4"])
    words = run_words(scratch, backings(["ext4"]), "--make-filesystems", trials=20)
    process = scratch.start(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    helper.wait_for("a record", lambda: helper.record_lines(scratch.out))
    process.kill()
    process.wait()
    helper.check_status(scratch.call(["run", "--resume", str(scratch.out), "--no-report"]), 0)
    found = helper.records(scratch.out)
    assert len(found) == 20 and all(arm["status"] == "ok" for record in found for arm in record["arms"])
    check_nothing_left(scratch)


def check_unsupported(scratch: helper.Scratch, without: dict[str, str], others: list[str]) -> None:
    """Cells on what could not be made say why, once; the others are measured."""
    result = scratch.call(run_words(scratch, backings([*without, *others]), "--make-filesystems"))
    helper.check_status(result, 0)
    found = by_backing(helper.records(scratch.out))
    for name, reason in without.items():
        assert len(found[name]) == 1, "once is enough"
        for arm in found[name][0]["arms"]:
            assert arm["status"] == "unsupported" and re.search(reason, arm["reason"]), (name, arm)
    for name in others:
        assert all(arm["status"] == "ok" for record in found[name] for arm in record["arms"]), (name, found[name])
    check_nothing_left(scratch)


def test_programs_are_missing(scratch: helper.Scratch) -> None:
    """Which package would help is said; what does not need the program is measured."""
    needs_made(["ext4", "xfs"])
    helper.own_mounts()
    hidden = [path for name in ("mkfs.xfs", "bindfs") if (path := shutil.which(name))]
    for path in hidden:
        subprocess.run(["mount", "--bind", "/dev/null", path], check=True)
    try:
        check_unsupported(scratch, {"xfs": r"mkfs\.xfs is not here \(package xfsprogs\)",
                                    "fuse": r"bindfs is not here \(package bindfs\)"}, ["ext4", "overlay"])
    finally:
        for path in hidden:
            subprocess.run(["umount", path], check=True)


def test_base_is_missing(scratch: helper.Scratch) -> None:
    """What lies on another filesystem goes with it."""
    needs_made(["ext4", "btrfs"])
    helper.own_mounts()
    path = shutil.which("mkfs.ext4")
    subprocess.run(["mount", "--bind", "/dev/null", path], check=True)
    try:
        missing = r"mkfs\.ext4 is not here \(package e2fsprogs\)"
        check_unsupported(scratch, {"ext4": missing, "overlay": missing, "fuse": missing}, ["btrfs"])
    finally:
        subprocess.run(["umount", path], check=True)


def test_no_loop_devices(scratch: helper.Scratch) -> None:
    needs_made(["ext4"])
    helper.own_mounts()
    subprocess.run(["mount", "--bind", "/dev/null", "/dev/loop-control"], check=True)
    try:
        check_unsupported(scratch, {"ext4": "loop device"}, ["file"])
    finally:
        subprocess.run(["umount", "/dev/loop-control"], check=True)


def test_no_mounts(scratch: helper.Scratch) -> None:
    """Root without the right to mount, as in most containers."""
    helper.needs_root()
    helper.needs_tool("setpriv")
    result = scratch.call(run_words(scratch, backings(["file", "ext4"]), "--make-filesystems"),
                          prefix=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    helper.check_status(result, 0)
    found = by_backing(helper.records(scratch.out))
    reasons = {arm["reason"] for record in found["ext4"] for arm in record["arms"]}
    assert reasons == {"mounts of its own: Operation not permitted"}, reasons
    assert all(arm["status"] == "ok" for record in found["file"] for arm in record["arms"])
    check_nothing_left(scratch)


def test_disk_is_too_small(scratch: helper.Scratch) -> None:
    """What the images may come to hold is part of the plan, and is checked before anything is made."""
    needs_made(["ext4"])
    helper.own_mounts()
    helper.mount_tmpfs(scratch.files, "32m")
    try:
        words = run_words(scratch, backings(["ext4", "xfs"]), "--make-filesystems")
        plan = scratch.call(["plan", words[1], "--directory", str(scratch.files), "--make-filesystems", "--json"])
        assert json.loads(plan.stdout)["disk_bytes"] > 300 << 20
        result = scratch.call(words)
        helper.check_status(result, 4)
        assert "32 MiB are free" in result.stderr and not scratch.out.exists(), result.stderr
        assert loop_images(scratch) == [] and scratch.leftovers() == []
    finally:
        helper.unmount(scratch.files)


def test_plan_made_elsewhere(scratch: helper.Scratch) -> None:
    """A resolved plan holds the option; it cannot be added to one."""
    needs_made(["ext4"])
    words = run_words(scratch, backings(["ext4"]))
    made = scratch.call(["plan", words[1], "--directory", str(scratch.files), "--profile", "quick",
                         "--make-filesystems", "--json"])
    path = scratch.path / "plan.json"
    path.write_text(made.stdout)
    helper.check_status(scratch.call(["run", "--plan", str(path), "--no-report", "--out", str(scratch.out)]), 0)
    assert all(arm["status"] == "ok" for record in helper.records(scratch.out) for arm in record["arms"])
    result = scratch.call(["run", "--plan", str(path), "--make-filesystems", "--out", str(scratch.path / "other")])
    helper.check_status(result, 2)
    shutil.rmtree(scratch.out)
    path.write_text(made.stdout.replace('"make_filesystems": true', '"make_filesystems": false'))
    helper.check_status(scratch.call(["run", "--plan", str(path), "--no-report", "--out", str(scratch.out)]), 0)
    (record,) = helper.records(scratch.out)
    assert {arm["status"] for arm in record["arms"]} == {"unsupported"}
    check_nothing_left(scratch)


def test_given_file_stays_where_it_is(scratch: helper.Scratch) -> None:
    path = scratch.path / "yours"
    path.write_bytes(os.urandom(2 << 20))
    result = scratch.call(run_words(scratch, backings(["file", "tmpfs", "memfd"]), "--file", str(path)))
    helper.check_status(result, 0)
    assert result.stderr.count("the file given with --file lies where it lies") == 2, result.stderr
    assert set(by_backing(helper.records(scratch.out))) == {"given"}


def test_huge_pages(scratch: helper.Scratch) -> None:
    """hugetlbfs is measured where pages are reserved, and says what to reserve elsewhere."""
    text = pathlib.Path("/proc/meminfo").read_text()
    kib, free = (int(re.search(rf"{key}:\s+(\d+)", text)[1]) for key in ("Hugepagesize", "HugePages_Free"))
    if kib > 64 << 10:
        raise helper.Skip(f"a huge page of {kib >> 10} MiB is too much for a test")
    words = run_words(scratch, backings(["file", "hugetlbfs"]), "--set", f"file_bytes={2 * kib}KiB")
    helper.check_status(scratch.call(words), 0)
    found = by_backing(helper.records(scratch.out))
    for arm in (arm for record in found["hugetlbfs"] for arm in record["arms"]):
        if arm["status"] == "ok":
            assert arm["proof"]["witness"] == "allocation" and arm["proof"]["recipe_faults"] == 2, arm["proof"]
        else:
            assert free < 2 and arm["status"] == "unsupported" and "vm.nr_hugepages" in arm["reason"], arm
    assert all(arm["status"] == "ok" for record in found["file"] for arm in record["arms"])


helper.main(globals())
