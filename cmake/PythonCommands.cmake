# SPDX-License-Identifier: MIT
# The subcommands written in Python: a tiny shell script faultline-NAME beside the program, for each of FAULTLINE_COMMANDS.
# The first python3 on PATH is often not the one that sees the distribution's packages, so the interpreter is tried out.

set(python_modules numpy scipy matplotlib jinja2 jsonschema)
string(REPLACE ";" ", " python_modules "${python_modules}")

# Sets `result` to the absolute path of the first interpreter that imports what the analysis needs, or to "".
function(find_faultline_python result)
    foreach(candidate IN ITEMS $ENV{FAULTLINE_PYTHON} ${FAULTLINE_PYTHON} python3 /usr/bin/python3)
        execute_process(
            COMMAND ${candidate} -c
                "import sys, ${python_modules}; jsonschema.Draft202012Validator; print(sys.executable)"
            OUTPUT_VARIABLE path RESULT_VARIABLE status ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
        if(status EQUAL 0)
            set(${result} ${path} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    set(${result} "" PARENT_SCOPE)
endfunction()

find_faultline_python(found_python)
set(FAULTLINE_PYTHON "${found_python}" CACHE FILEPATH "interpreter of the analysis" FORCE)
if(NOT FAULTLINE_PYTHON)
    message(WARNING "no python3 here imports ${python_modules}: faultline will measure, but not report or plot")
    return()
endif()
message(STATUS "Python of the analysis: ${FAULTLINE_PYTHON}")

# Between single quotes, for sh.
string(REPLACE "'" "'\\''" SHELL_PYTHON "${FAULTLINE_PYTHON}")
string(REPLACE "'" "'\\''" SHELL_SCRIPTS "${CMAKE_SOURCE_DIR}/scripts")
string(REPLACE "'" "'\\''" SHELL_CACHE "${CMAKE_BINARY_DIR}/pycache")

foreach(name IN LISTS FAULTLINE_COMMANDS)
    set(COMMAND_NAME ${name})
    # file(CONFIGURE) has no mode; configure_file copies that of the template.
    configure_file(${CMAKE_SOURCE_DIR}/cmake/command-tree.sh.in ${CMAKE_BINARY_DIR}/faultline-${name} @ONLY)
    configure_file(${CMAKE_SOURCE_DIR}/cmake/command-installed.sh.in ${generated_dir}/faultline-${name} @ONLY)
    install(PROGRAMS ${generated_dir}/faultline-${name} DESTINATION bin)
endforeach()
