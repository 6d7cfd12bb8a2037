# SPDX-License-Identifier: MIT
# Builds for a guest of another architecture: -DGUEST_TRIPLE=aarch64-linux-gnu -DGUEST_ROOT=FOLDER, where the folder holds
# the unpacked development packages of that architecture.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GUEST_TRIPLE GUEST_ROOT)
set(CMAKE_SYSTEM_NAME Linux)
string(REGEX REPLACE "-.*" "" CMAKE_SYSTEM_PROCESSOR ${GUEST_TRIPLE})
set(CMAKE_C_COMPILER ${GUEST_TRIPLE}-gcc)
set(CMAKE_C_FLAGS_INIT "-isystem ${GUEST_ROOT}/usr/include -isystem ${GUEST_ROOT}/usr/include/${GUEST_TRIPLE}")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-L${GUEST_ROOT}/usr/lib/${GUEST_TRIPLE}")
set(ENV{PKG_CONFIG_LIBDIR} ${GUEST_ROOT}/usr/lib/${GUEST_TRIPLE}/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "")
