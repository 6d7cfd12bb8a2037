#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An installed faultline works from a prefix that was moved after the installation, without the source tree's help.
# $1: the program in its build folder.
set -euo pipefail

build=$(dirname "$(readlink -f "$1")")
if ! command -v cmake >/dev/null; then
    echo 'cmake is not here'
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/moved"
cd "$work"
program=$work/moved/bin/faultline

"$program" list methods >"$work/methods"
grep -q '^pread\b' "$work/methods"
"$program" list scenarios >"$work/scenarios"
grep -q 'access/read-or-map' "$work/scenarios"
"$program" plan access/read-or-map --json >"$work/plan.json"
grep -q '"faultline.plan/1"' "$work/plan.json"
for command in "$work"/moved/bin/faultline-*; do
    [[ -x $command ]] || continue # without Python there are none
    "$command" --help >"$work/help"
    grep -qi usage "$work/help"
    name=${command##*/faultline-}
    "$program" "$name" --help | cmp - "$work/help"
done

# Nothing of it may point into the temporary prefix it was first put into.
if grep -rl "$work/first" "$work/moved"; then
    echo 'the installation remembers where it was first put'
    exit 1
fi
