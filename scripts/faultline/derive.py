# SPDX-License-Identifier: MIT
"""From one record to one figure an arm: everything that is known of a trial before trials are put together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping

import numpy as np

from faultline import latency, stats
from faultline.records import Arm, Histogram, Run, Trial

SYNCED_BEFORE = frozenset(("resync",))  # methods whose sync comes before the operation


@dataclass(frozen=True)
class ArmTrial:
    """What one trial says about one arm. Logarithms are of time of the arm ÷ time of the baseline."""

    trial: int
    line: int
    started: str
    status: str
    reason: str | None
    ns_per_op: float | None = None
    log_ratio: float | None = None
    mean_log_ratio: float | None = None
    ratio_reason: str | None = None
    drift: float | None = None  # of the paired log ratio, from the first round to the last
    rounds: int = 0
    voided: int = 0
    counts_per_op: Mapping[str, float] = field(default_factory=dict)
    pages_per_fault: float | None = None
    histogram: Histogram | None = None  # response in the open form, else service
    latency_reason: str | None = None
    fairness: float | None = None


def ns_per_op(arm: Arm) -> np.ndarray:
    """Time of an operation in each round, ns [rounds], NaN where voided."""
    return arm.batch_ns / (arm.ops_per_batch or 1)


def median_or_none(values: np.ndarray) -> float | None:
    """The median of what is not NaN, None when nothing is left."""
    kept = values[np.isfinite(values)]
    return float(np.median(kept)) if kept.size else None


def paired(arm: Arm, baseline: Arm) -> np.ndarray:
    """log(time of the arm ÷ time of the baseline) of each round [rounds], NaN where either is void."""
    return np.log(ns_per_op(arm)) - np.log(ns_per_op(baseline))


def stratified(values: np.ndarray, before: np.ndarray) -> float | None:
    """Mean of two medians: of the rounds where the arm came before the baseline, and of those where it came after.

    None when one of the two has no round: what the order does to the ratio could not be taken out then.
    """
    first, second = median_or_none(values[before]), median_or_none(values[~before])
    return None if first is None or second is None else (first + second) / 2


def mean_log_ratio(arm: Arm, baseline: Arm) -> float | None:
    """log of the ratio of mean times over the rounds that both have: a rare stall moves this and not the medians."""
    mine, its = ns_per_op(arm), ns_per_op(baseline)
    kept = np.isfinite(mine) & np.isfinite(its)
    return math.log(mine[kept].mean() / its[kept].mean()) if kept.any() else None


def counts_per_op(arm: Arm) -> dict[str, float]:
    """Each known count of the counting pass ÷ its operations."""
    ops = (arm.counts or {}).get("ops")
    if not ops or arm.counts is None:
        return {}
    return {name: value / ops for name, value in arm.counts.items() if name != "ops" and value is not None}


def pages_per_op(params: Mapping[str, Any], bytes_per_op: int | None, page_bytes: int | None) -> float | None:
    """Pages that an operation visits: one a block where small blocks lie a page or more apart (pattern: stride), else
    those that its bytes fill. None for less than a page, where the page's size is unknown, and for a sync of a range of
    which only a share was stored to."""
    if not bytes_per_op or not page_bytes or params.get("dirty_share", 1.0) < 1:
        return None
    block, stride = params.get("block_bytes"), params.get("stride_bytes")
    if params.get("pattern") == "stride" and block and stride and block < page_bytes <= stride:
        return bytes_per_op / block
    return bytes_per_op / page_bytes if bytes_per_op >= page_bytes else None


def pages_per_fault(arm: Arm, page_bytes: int | None) -> float | None:
    """Pages visited for each minor fault of the counting pass; None without faults or for blocks below a page."""
    faults, pages = counts_per_op(arm).get("minor_faults"), pages_per_op(arm.params, arm.bytes_per_op, page_bytes)
    return pages / faults if faults and pages is not None else None


def dirtied_bytes(method: str, params: Mapping[str, Any], bytes_per_op: int | None, page: int | None) -> float | None:
    """Bytes stored to that the sync within an operation finds. Where the call is itself the operation: whole pages, a
    share of the range, rounded, at least one unless the share is 0 (bench/parts/dirty.c dirty_pages); where stores and sync
    are both in it: its bytes. None where no sync is in it, or the page's size is unknown."""
    if params.get("sync", "none") == "none" or method in SYNCED_BEFORE:
        return None
    if method == "sync":
        share, bytes_ = params.get("dirty_share"), params.get("range_bytes")
        if not page or share is None or bytes_ is None:  # the latter two: of a plan from before they were there
            return None
        pages = -(-bytes_ // page)
        return float(page * min(pages, max(1, math.floor(share * pages + 0.5)))) if share > 0 else 0.0
    writes = method == "pwrite" or params.get("access") == "store"
    return float(bytes_per_op) if bytes_per_op and writes else None


def breaking_bytes(method: str, params: Mapping[str, Any], bytes_per_op: int | None) -> float | None:
    """Bytes that an operation stores to where each fault of it copies a page, and nothing else copies one: a byte of an
    object, the blocks of a private mapping. None elsewhere: where some faults copy and others find the page their own,
    or where a page that is copied is a huge one."""
    if method == "object_write":
        return 1.0
    if method == "cow_break" and params.get("backing") != "hugetlbfs":
        return float(bytes_per_op) if bytes_per_op else None
    return None


def amplification(moved: float | None, meant: float | None) -> float | None:
    """Bytes that storage moved, or that were copied, ÷ bytes asked for or stored to; None where either is unknown or nothing
    was."""
    return None if moved is None or not meant else moved / meant


def recipe_pages_per_fault(trial: Trial) -> float | None:
    """Pages that one fault of a fresh mapping brought in, measured beside the cell: what shows the recipe's folios."""
    for arm in trial.arms:
        pages, faults = ((arm.proof or {}).get(key) for key in ("recipe_pages", "recipe_faults"))
        if pages and faults:
            return float(pages) / float(faults)
    return None


def uses_file(trials: Iterable[Trial]) -> bool:
    """Whether any arm works on the file, of whose pages its record then has a proof. True where none was measured."""
    proofs = [arm.proof for trial in trials for arm in trial.arms if arm.status == "ok" and arm.proof]
    return not proofs or any("pages" in proof for proof in proofs)


def page_bytes(run: Run) -> int | None:
    """Bytes of a page: from the fingerprint, else from a proof that counts the pages of a whole file; None if
    neither."""
    blocking = run.machine.get("blocking")
    for key in ("page_bytes", "page_size"):
        if isinstance(blocking, dict) and isinstance(blocking.get(key), int):
            return blocking[key]
    for trial in run.trials:
        for arm in trial.arms:
            pages = (arm.proof or {}).get("pages")
            for key in ("working_set_bytes", "file_bytes"):
                size = trial.params.get(key)
                if pages and isinstance(size, int) and size % pages == 0 and size // pages in (4096, 16384, 65536):
                    return size // pages
    return None


def fairness(arm: Arm) -> float | None:
    """Operations a second of the slowest worker ÷ those of the quickest, median over rounds: 1 is fair. All do as many
    in a batch. None where fewer than two are timed."""
    if arm.workers is None:
        return None
    timed = arm.workers[np.isfinite(arm.workers).any(axis=1)]
    return median_or_none(timed.min(axis=0) / timed.max(axis=0)) if len(timed) > 1 else None


def histogram_of(arm: Arm) -> Histogram | None:
    """What a user waits: response times when operations were due on a schedule, else service times."""
    if arm.latency is None:
        return None
    return arm.latency.response if arm.latency.response is not None else arm.latency.service


def arm_trial(trial: Trial, arm: Arm, page: int | None) -> ArmTrial:
    """Everything one trial says about one arm; a ratio only when arm and baseline were both measured."""
    common = dict(trial=trial.trial, line=trial.line, started=trial.started, status=arm.status, reason=arm.reason)
    if arm.status != "ok":
        return ArmTrial(**common, ratio_reason=f"{arm.status}: {arm.reason or 'no reason recorded'}")
    measured = dict(
        ns_per_op=median_or_none(ns_per_op(arm)),
        rounds=int(np.isfinite(arm.batch_ns).sum()),
        voided=int(np.isnan(arm.batch_ns).sum()),
        counts_per_op=counts_per_op(arm),
        pages_per_fault=pages_per_fault(arm, page),
        histogram=histogram_of(arm),
        latency_reason=arm.latency_reason,
        fairness=fairness(arm),
    )
    baseline = trial.arms[0]
    if arm is baseline:
        return ArmTrial(**common, **measured)
    if baseline.status != "ok":
        return ArmTrial(**common, **measured, ratio_reason=f"the baseline is {baseline.status}")
    values = paired(arm, baseline)
    ratio = stratified(values, arm.order < baseline.order)
    if ratio is None:
        return ArmTrial(**common, **measured, ratio_reason="no round with the arm on one side of the baseline")
    return ArmTrial(
        **common,
        **measured,
        log_ratio=ratio,
        mean_log_ratio=mean_log_ratio(arm, baseline),
        drift=stats.theil_sen(values) * (values.size - 1),
    )


def merged(trials: Iterable[ArmTrial]) -> Histogram | None:
    """One histogram of all trials."""
    return latency.merge(t.histogram for t in trials if t.histogram is not None)


def checksums_differ(trial: Trial) -> list[tuple[str, str]]:
    """(name, other) of the arms whose checksum is not that of the other one: of the first arm that has any, which is
    the baseline unless that was not measured. Empty when all agree."""
    known = [(arm.name, arm.checksum) for arm in trial.arms if arm.status == "ok" and arm.checksum is not None]
    return [(name, known[0][0]) for name, checksum in known if checksum != known[0][1]]
