# SPDX-License-Identifier: Apache-2.0
# A variant is the same code built with other flags, in the same build folder,
# so that one run of ctest counts every test of every variant. "plain" is what
# users get; the sanitizers keep assert() alive.

set(nxi_flags_plain "")
set(nxi_flags_asan -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -UNDEBUG)
# The sanitizer does not follow fences (-Wtsan). None of ours orders plain data: what it
# guards is atomic, or handed over by a lock.
set(nxi_flags_tsan -fsanitize=thread -Wno-tsan -fno-omit-frame-pointer -O1 -UNDEBUG)

# In target names and ctest's: foo, foo-asan, foo-tsan.
function(nxi_variant_name name variant ret_name)
    if(variant STREQUAL "plain")
        set(${ret_name} ${name} PARENT_SCOPE)
    else()
        set(${ret_name} ${name}-${variant} PARENT_SCOPE)
    endif()
endfunction()

# The library with its hidden symbols in reach, for tests: nxi_core, nxi_core-asan,
# nxi_core-tsan. The plain one is what is installed.
function(nxi_core_variant variant)
    nxi_variant_name(nxi_core ${variant} core)
    if(variant STREQUAL "plain")
        add_library(${core} INTERFACE)
        target_link_libraries(${core} INTERFACE nxconnect_static)
        set(scope INTERFACE)
    else()
        add_library(${core} STATIC EXCLUDE_FROM_ALL ${ARGN})
        set(scope PUBLIC)
    endif()
    target_compile_options(${core} ${scope} ${nxi_flags_${variant}})
    target_link_options(${core} ${scope} ${nxi_flags_${variant}})
    target_include_directories(${core} ${scope}
        ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include ${NXI_UTHASH_DIR})
    target_link_libraries(${core} ${scope} PkgConfig::nxi_deps Threads::Threads)
endfunction()
