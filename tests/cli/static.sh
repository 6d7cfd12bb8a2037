#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The static program runs a plan made elsewhere in a folder that holds nothing but the two, as its whole file system.
# $1: a full program, which makes the plan. $FAULTLINE_STATIC: the static one (cmake --preset static).
set -euo pipefail

if [[ ! -x ${FAULTLINE_STATIC:-} ]]; then
    echo 'FAULTLINE_STATIC does not name a static program'
    exit 77
fi
enter=(chroot)
if [[ $(id -u) -ne 0 ]]; then
    enter=(unshare --user --map-root-user chroot)
fi
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
mkdir -p "$work/root/var/tmp"
cp "$FAULTLINE_STATIC" "$work/root/faultline"
if ! "${enter[@]}" "$work/root" /faultline list methods >"$work/methods" 2>"$work/error"; then
    if ! "${enter[@]}" / true 2>/dev/null; then
        echo 'no permission to chroot'
        exit 77
    fi
    cat "$work/error"
    exit 1
fi
"$1" list methods | cmp - "$work/methods"

"$1" plan floor/syscall-floor --profile quick --set arm_time=2ms --budget 5s --json >"$work/root/plan.json"
"${enter[@]}" "$work/root" /faultline run --plan /plan.json --out /out >"$work/output"
[[ $(tail -n 1 "$work/output") == /out ]]
records=$work/root/out/trials.jsonl
grep -q '"status":"ok"' "$records"
if grep -q '"status":"failed"' "$records"; then
    echo 'an arm failed:'
    cat "$records"
    exit 1
fi
