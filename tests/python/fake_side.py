# SPDX-License-Identifier: MIT
"""A side of a live comparison with made times: python -IS fake_side.py FOLDER plan|machine|trial ….

FOLDER holds what a test has put there: plan.json, machine.json, record.json (arms of a record, without times) and
side.json, how it behaves:
  ns, spread      median time of an operation, and the standard deviation of its logarithm between pairs
  bias            {file name: factor}: what its trials of that name take longer
  checksum        of every arm
  arms            {name: {member: value}}: what its records say otherwise of an arm; "trials": in which (all); "factor":
                  what it takes longer
  trial_remark    what its trials say on standard error
  clock           what its records say of the clock
  machine_then    what its machine says otherwise whenever it is asked again; "exit": it does not tell
  no_turns        whether it knows of no turns
  fail            {"stage": plan, machine, calibration, start, round or record, "how": exit, kill, hang, silent, garbage
                  or schema, "above": from which trial on (0)}
  child           whether it leaves a process behind, and a file
"""

import json
import os
import random
import signal
import sys
import time
import zlib

ROUNDS, OPS = 12, 100


def load(folder, name):
    """A JSON file of the test's."""
    with open(os.path.join(folder, name), encoding="utf-8") as stream:
        return json.load(stream)


def fail(how, printed):
    """Does not deliver, in that way. Returns what is printed where that is all there is to it."""
    if how == "exit":
        print("first words", file=sys.stderr)
        sys.exit("no more paper")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if how == "schema":
        later = "faultline.trial/9" if "trial/1" in printed else "faultline.plan/9"
        return json.dumps({**json.loads(printed), "schema": later})
    return "" if how == "silent" else "garbage"


def tell(stage, text, side, trial=0):
    """Prints, or fails where it is told to."""
    fails = side.get("fail")
    if fails and fails["stage"] == stage and trial >= fails.get("above", 0):
        text = fail(fails["how"], text)
    print(text)


def sealed(value):
    """A record as a line without its newline."""
    text = json.dumps(value, separators=(",", ":"))
    return text[:-1] + ',"crc32":"%08x"}' % zlib.crc32(text.encode())


def rounds(turn, side, trial, count):
    """Passes the turn as bench/turn.h has it."""
    for r in range(count if turn and not side.get("no_turns") else 0):
        if (r or not turn["starts"]) and os.read(turn["read_fd"], 1) != b"t":
            return False
        if r == 5:
            tell_nothing("round", side, trial)
        try:
            os.write(turn["write_fd"], b"t")
        except BrokenPipeError:
            if r + 1 < count:
                return False
    return True


def tell_nothing(stage, side, trial):
    """Fails where it is told to, else does nothing."""
    fails = side.get("fail")
    if fails and fails["stage"] == stage and trial >= fails.get("above", 0):
        fail(fails["how"], "{}")


def arm_times(arm, ns, draw, count, ops, slots):
    """Times of one arm's rounds."""
    arm["ops_per_batch"] = ops or OPS
    arm["batch_ns"] = [max(1, round(arm["ops_per_batch"] * ns * draw.lognormvariate(0, 0.001))) for _ in range(count)]
    arm["order"] = slots


def arm_change(arm, told, number):
    """What a test says of an arm in this trial; one that was not measured has no times."""
    if told is None or number not in told.get("trials", [number]):
        return
    arm |= {key: value for key, value in told.items() if key not in ("trials", "factor")}
    if arm["status"] != "ok":
        arm |= {"batch_ns": [], "order": [], "ops_per_batch": None, "counts": None, "latency": None, "checksum": None}


def trial_of(folder, side):
    """One trial of the only cell of its job."""
    job = json.load(sys.stdin)
    cell, (told,) = job["plan"]["cells"][0], job["cells"]
    turn, name, number = job["turn"], job["name"], told["trial"]
    path = os.path.join(job["directory"], name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("contents")
    if side.get("child") and os.fork() == 0:
        os.closerange(3, 100)
        time.sleep(60)
        os._exit(0)
    tell_nothing("start" if turn else "calibration", side, number)
    count = told["rounds"] or ROUNDS
    whole = rounds(turn, side, number, count)
    record = load(folder, "record.json")
    record |= {"scenario": cell["scenario"], "cell": cell["cell"], "trial": number, "process": job["process"]}
    record |= {"seed": told["seed"], "params": {**cell["params"], "op": "block read"}, "machine": job["machine"]}
    record |= {"boot_id": job["boot_id"], "clock": {**record["clock"], **side.get("clock", {})}}
    for index, arm in enumerate(record["arms"]):
        draw = random.Random(f"{told['seed']} {name} {index}")
        ns = side["ns"] * draw.lognormvariate(0, side["spread"]) * side.get("bias", {}).get(name, 1)
        ns *= side.get("arms", {}).get(arm["name"], {}).get("factor", 1)
        arm_times(arm, ns, draw, count, (told["ops"] or [0] * 99)[index],
                  [(index + r) % len(record["arms"]) for r in range(count)])
        arm["params"] = cell["arms"][index]["params"]
        arm["checksum"] = side.get("checksum", arm["checksum"])
        arm_change(arm, side.get("arms", {}).get(arm["name"]), number if turn else "calibration")
        if not whole:
            arm |= {"status": "failed", "reason": "the other side has gone", "batch_ns": [], "order": []}
    if side.get("trial_remark"):
        print(side["trial_remark"], file=sys.stderr)
    tell("record", sealed(record), side, number)
    if not side.get("child"):
        os.unlink(path)


def then(folder, side):
    """What its machine says otherwise from the second time on that it is asked."""
    asked = os.path.join(folder, "asked")
    if not os.path.exists(asked):
        open(asked, "w", encoding="utf-8").close()
        return {}
    changed = side.get("machine_then", {})
    if changed == "exit":
        sys.exit("no more machine")
    return changed


def main():
    """The commands that a live comparison gives."""
    folder, word = sys.argv[1:3]
    side = load(folder, "side.json")
    if side.get("remark"):
        print(side["remark"], file=sys.stderr)
    if word == "trial":
        trial_of(folder, side)
    else:
        plan = load(folder, f"{word}.json")
        if word == "machine":
            plan |= then(folder, side)
        if "--seed" in sys.argv:
            plan["seed"] = int(sys.argv[sys.argv.index("--seed") + 1])
        tell(word, json.dumps(plan), side)


main()
