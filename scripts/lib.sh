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
python_find()
{
    local modules=(numpy scipy matplotlib jinja2 jsonschema "$@") candidate
    for candidate in ${FAULTLINE_PYTHON:+"$FAULTLINE_PYTHON"} python3 /usr/bin/python3; do
        if "$candidate" -c "import sys, $(IFS=,; printf '%s' "${modules[*]}"); print(sys.executable)" 2>/dev/null; then
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
