# SPDX-License-Identifier: MIT
# Sources by their file names, the table of methods, and build.h.

# bench/parts holds what methods share among themselves, bench/techniques what a program might take over as it is.
file(GLOB core_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/*.c ${CMAKE_SOURCE_DIR}/bench/parts/*.c
     ${CMAKE_SOURCE_DIR}/bench/techniques/*.c)
list(REMOVE_ITEM core_sources ${CMAKE_SOURCE_DIR}/bench/main.c)
if(FAULTLINE_MINIMAL)
    list(REMOVE_ITEM core_sources ${CMAKE_SOURCE_DIR}/bench/scenario.c ${CMAKE_SOURCE_DIR}/bench/claim.c
         ${CMAKE_SOURCE_DIR}/bench/yaml.c)
endif()

# A method is a file: its stem is its name and, after method_, its symbol.
file(GLOB method_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/bench/methods/*.c)
list(SORT method_sources)
set(METHOD_DECLARATIONS "")
set(METHOD_ROWS "")
foreach(source IN LISTS method_sources)
    get_filename_component(stem ${source} NAME_WE)
    string(APPEND METHOD_DECLARATIONS "extern const struct method method_${stem};\n")
    string(APPEND METHOD_ROWS "    &method_${stem},\n")
endforeach()
set(generated_dir ${CMAKE_BINARY_DIR}/generated)
configure_file(${CMAKE_SOURCE_DIR}/cmake/method_table.c.in ${generated_dir}/method_table.c @ONLY)

# What decides the code that is measured. Warnings do not, and are left out.
string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
set(flags -std=gnu17 ${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${type}})
if(FAULTLINE_SANITIZE)
    list(APPEND flags -fsanitize=${FAULTLINE_SANITIZE})
endif()
if(FAULTLINE_COVERAGE)
    list(APPEND flags --coverage)
endif()
if(FAULTLINE_MINIMAL)
    list(APPEND flags -static)
endif()
string(JOIN " " FAULTLINE_FLAGS ${flags})
set(FAULTLINE_COMPILER "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
configure_file(${CMAKE_SOURCE_DIR}/bench/build.h.in ${generated_dir}/build.h @ONLY)
