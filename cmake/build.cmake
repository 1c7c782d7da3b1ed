# SPDX-License-Identifier: Apache-2.0
# How everything here is compiled, and what it is linked with.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# The library and the command lie in the build folder itself, and find each
# other wherever that folder is moved to.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes
    -Werror=implicit-function-declaration -Werror=incompatible-pointer-types)
if(NXC_WERROR)
    add_compile_options(-Werror)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(nxi_deps REQUIRED IMPORTED_TARGET yajl libsodium zlib)
find_path(NXI_UTHASH_DIR uthash.h REQUIRED)
mark_as_advanced(NXI_UTHASH_DIR)

pkg_check_modules(nxi_ucx IMPORTED_TARGET ucx>=1.13)
if(NXC_UCX AND NOT nxi_ucx_FOUND)
    message(STATUS "No headers of UCX: the module for NIXL workers is not built")
    set(NXC_UCX OFF)
endif()
