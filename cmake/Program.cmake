# SPDX-License-Identifier: MIT
# faultline_core (everything but main.c, what the tests link) and the program faultline.

add_library(faultline_options INTERFACE)
target_compile_options(faultline_options INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    $<$<BOOL:${FAULTLINE_WERROR}>:-Werror>)
if(FAULTLINE_SANITIZE)
    target_compile_options(faultline_options INTERFACE -fsanitize=${FAULTLINE_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(faultline_options INTERFACE -fsanitize=${FAULTLINE_SANITIZE})
endif()
if(FAULTLINE_COVERAGE)
    target_compile_options(faultline_options INTERFACE --coverage)
    target_link_options(faultline_options INTERFACE --coverage)
endif()
if(FAULTLINE_MINIMAL)
    target_compile_definitions(faultline_options INTERFACE FAULTLINE_MINIMAL)
endif()

add_library(faultline_core STATIC ${core_sources} ${method_sources} ${generated_dir}/method_table.c)
target_include_directories(faultline_core PUBLIC
    ${CMAKE_SOURCE_DIR}/bench ${CMAKE_SOURCE_DIR}/bench/parts ${CMAKE_SOURCE_DIR}/bench/techniques
    ${generated_dir})
target_compile_definitions(faultline_core PUBLIC _GNU_SOURCE=)
target_link_libraries(faultline_core PUBLIC faultline_options faultline_libraries m)

add_executable(faultline ${CMAKE_SOURCE_DIR}/bench/main.c)
target_link_libraries(faultline PRIVATE faultline_core)
if(FAULTLINE_MINIMAL)
    target_link_options(faultline PRIVATE -static)
endif()
install(TARGETS faultline RUNTIME DESTINATION bin)
