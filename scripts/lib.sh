# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the scripts share. To be sourced, with `root` set to the top of the source tree.

# Prints a message of this script to standard error.
say()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Ends the script with a message. $1: exit status (2 usage, 4 the environment is not fit, 7 I/O or nothing measured).
die()
{
    local status=$1
    shift
    say "$*"
    exit "$status"
}

# Prints the path of the first Python that imports what the analysis needs; the first python3 on PATH often does not see
# the distribution's packages. $@: further modules it must have. Status 1 when there is none.
# cmake/PythonCommands.cmake does the same for the build.
# shellcheck disable=SC2120 # scripts/check passes some
python_find()
{
    local modules=(numpy scipy matplotlib jinja2 jsonschema "$@") candidate
    for candidate in ${FAULTLINE_PYTHON:+"$FAULTLINE_PYTHON"} python3 /usr/bin/python3; do
        if "$candidate" -c "import sys, $(IFS=,; printf '%s' "${modules[*]}")
jsonschema.Draft202012Validator # version 4 and later
print(sys.executable)" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

# Configures a preset quietly, with Ninja where it is there. $1: preset, $2: build folder, rest: arguments for cmake.
# A folder configured elsewhere (a moved or copied tree) is configured afresh.
configure_preset()
{
    local preset=$1 folder=$2 home
    shift 2
    home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$folder/CMakeCache.txt" 2>/dev/null || true)
    if [[ -n $home && ! $home -ef ${root:?} ]]; then
        rm -rf -- "$folder/CMakeCache.txt" "$folder/CMakeFiles"
    fi
    if [[ -z ${CMAKE_GENERATOR:-} ]] && command -v ninja >/dev/null; then
        local -x CMAKE_GENERATOR=Ninja
    fi
    (cd "$root" && cmake --preset "$preset" -B "$folder" "$@")
}

# Processors this process may use.
jobs_count()
{
    nproc 2>/dev/null || echo 1
}

# Runs a command in a process group of its own: it is interrupted once, by us, whoever interrupts this script, and then
# still writes what it writes at its end. The status is its own.
interruptibly()
{
    local child status signalled=true
    set -m
    "$@" </dev/null &
    child=$!
    set +m
    trap 'signalled=true; kill -INT "$child" 2>/dev/null || true' INT
    trap 'signalled=true; kill -TERM "$child" 2>/dev/null || true' TERM HUP
    while $signalled; do # a trapped signal ends the wait, but not yet the child
        signalled=false
        status=0
        wait "$child" || status=$?
    done
    trap - INT TERM HUP
    return "$status"
}

# Packs directories as one .tar.gz, which is there whole or not at all, and says how large it is. $1: file, rest: the
# directories; those that are not there are left out.
pack()
{
    local archive=$1 directory members=()
    shift
    for directory in "$@"; do
        [[ ! -d $directory ]] ||
            members+=(-C "$(realpath -- "$(dirname -- "$directory")")" "./$(basename -- "$directory")")
    done
    if [[ ${#members[@]} -eq 0 ]]; then
        say "nothing to pack: $*"
        return 0
    fi
    (
        trap 'rm -f -- "$archive.part"' EXIT
        tar -czf "$archive.part" "${members[@]}" && mv -- "$archive.part" "$archive"
    ) || return 1
    printf 'artifact  %s (%s bytes)\n' "$archive" "$(stat -c %s -- "$archive")"
}

# Prints the words of a text one a line, divided at spaces and line ends; quotes keep a word together. $1: text.
words_of()
{
    xargs -r printf '%s\n' <<<"$1"
}

# Prints the Python that runs the analysis, or ends the script.
ci_python()
{
    # shellcheck disable=SC2119 # it needs no further modules
    python_find || die 4 'no Python that imports numpy, scipy, matplotlib, jinja2 and jsonschema: scripts/setup'
}
