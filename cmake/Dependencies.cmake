# SPDX-License-Identifier: MIT
# The libraries faultline is made of, as one interface target: faultline_libraries.
# Optional ones are looked for and reported, and tell the code about themselves through build.h.

find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

set(required jansson>=2.10 zlib)
if(NOT FAULTLINE_MINIMAL)
    list(APPEND required hwloc>=2.0 libfyaml)
endif()
pkg_check_modules(REQUIRED_LIBRARIES REQUIRED IMPORTED_TARGET ${required})

add_library(faultline_libraries INTERFACE)
if(FAULTLINE_MINIMAL)
    target_link_libraries(faultline_libraries INTERFACE ${REQUIRED_LIBRARIES_STATIC_LDFLAGS} Threads::Threads)
else()
    target_link_libraries(faultline_libraries INTERFACE PkgConfig::REQUIRED_LIBRARIES Threads::Threads)
endif()

set(HAVE_LIBPFM 0)
set(HAVE_LIBURING 0)
if(FAULTLINE_MINIMAL)
    return()
endif()

# libpfm4 ships no pkg-config file. It is loaded when it is first needed, not linked (bench/event.c).
find_path(PFM_INCLUDE_DIR perfmon/pfmlib.h)
find_library(PFM_LIBRARY pfm)
if(PFM_INCLUDE_DIR AND PFM_LIBRARY)
    set(HAVE_LIBPFM 1)
    target_include_directories(faultline_libraries INTERFACE ${PFM_INCLUDE_DIR})
    target_link_libraries(faultline_libraries INTERFACE ${CMAKE_DL_LIBS})
endif()
pkg_check_modules(LIBURING QUIET IMPORTED_TARGET liburing)
if(LIBURING_FOUND)
    set(HAVE_LIBURING 1)
    target_link_libraries(faultline_libraries INTERFACE PkgConfig::LIBURING)
endif()

foreach(name LIBPFM LIBURING)
    if(HAVE_${name})
        message(STATUS "optional ${name}: found")
    else()
        message(STATUS "optional ${name}: not found, built without it")
    endif()
endforeach()
