# SPDX-License-Identifier: Apache-2.0
# How tests are declared. Each has a time limit; 77 means "can't run here".

enable_testing()
pkg_check_modules(nxi_cmocka IMPORTED_TARGET cmocka)
if(NOT nxi_cmocka_FOUND)
    message(STATUS "No cmocka: only the tests that need none are built")
endif()

set(nxi_env_asan ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1)
set(nxi_env_tsan TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)

# ThreadSanitizer's map of memory has no room for the most random addresses that
# new kernels give out; where we may, its programs run without them.
execute_process(COMMAND setarch -R true RESULT_VARIABLE nxi_no_setarch OUTPUT_QUIET ERROR_QUIET)
if(NOT nxi_no_setarch)
    set(nxi_launch_tsan setarch -R)
endif()

# What every test has, whatever it runs.
function(nxi_test_defaults test variant)
    set_tests_properties(${test} PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77
        SKIP_REGULAR_EXPRESSION "ThreadSanitizer: unexpected memory mapping")
    set_property(TEST ${test} PROPERTY ENVIRONMENT ${nxi_env_${variant}})
    if(EXISTS ${NXC_VECTORS_DIR})
        set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT NXC_VECTORS=${NXC_VECTORS_DIR})
    endif()
endfunction()

# Declares a test program in every variant, linked with the library's inside and
# cmocka. TIMEOUT and ENV are ctest's; ENV_plain, ENV_asan, ENV_tsan for one variant.
function(nxi_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LIBS;LINK_OPTIONS;ENV;ENV_plain;ENV_asan;ENV_tsan" ${ARGN})
    nxi_test_program(${name} SOURCES ${ARG_SOURCES} LIBS ${ARG_LIBS} LINK_OPTIONS ${ARG_LINK_OPTIONS})
    nxi_run_test(${name} ${name} TIMEOUT ${ARG_TIMEOUT}
        ENV ${ARG_ENV} ENV_plain ${ARG_ENV_plain} ENV_asan ${ARG_ENV_asan} ENV_tsan ${ARG_ENV_tsan})
endfunction()

# The same without sanitizers.
function(nxi_plain_test)
    set(NXC_VARIANTS plain)
    nxi_test(${ARGV})
endfunction()

# The two halves of it, for a program that is run more than once: building it ...
function(nxi_test_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LIBS;LINK_OPTIONS" ${ARGN})
    if(NOT nxi_cmocka_FOUND)
        return()
    endif()
    foreach(variant IN LISTS NXC_VARIANTS)
        nxi_variant_name(${name} ${variant} target)
        nxi_variant_name(nxi_core ${variant} core)
        add_executable(${target} ${ARG_SOURCES})
        # It holds the library itself, and looks for the UCX module where the loader would.
        set_target_properties(${target} PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests BUILD_RPATH "$ORIGIN/..")
        target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
        target_link_options(${target} PRIVATE ${ARG_LINK_OPTIONS})
        foreach(lib IN LISTS ARG_LIBS)
            nxi_variant_name(${lib} ${variant} built)
            target_link_libraries(${target} PRIVATE ${built})
        endforeach()
        target_link_libraries(${target} PRIVATE ${core} PkgConfig::nxi_cmocka)
    endforeach()
endfunction()

# ... and running it, as the test called name, with ARGS. PROCESSORS is ctest's.
function(nxi_run_test name program)
    cmake_parse_arguments(ARG "" "TIMEOUT;PROCESSORS" "ARGS;ENV;ENV_plain;ENV_asan;ENV_tsan" ${ARGN})
    foreach(variant IN LISTS NXC_VARIANTS)
        nxi_variant_name(${name} ${variant} test)
        nxi_variant_name(${program} ${variant} target)
        if(TARGET ${target})
            add_test(NAME ${test} COMMAND ${nxi_launch_${variant}} $<TARGET_FILE:${target}> ${ARG_ARGS})
            nxi_test_defaults(${test} ${variant})
            set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT ${ARG_ENV} ${ARG_ENV_${variant}})
            foreach(property TIMEOUT PROCESSORS)
                if(ARG_${property})
                    set_tests_properties(${test} PROPERTIES ${property} ${ARG_${property}})
                endif()
            endforeach()
        endif()
    endforeach()
endfunction()

# A unit test lies beside what it tests: base/timers_test. Further sources may follow.
function(nxi_unit_test path)
    get_filename_component(name ${path} NAME)
    nxi_test(${name} SOURCES ${path}.c ${ARGN})
endfunction()

# A library that only tests use, in every variant.
function(nxi_test_library name)
    foreach(variant IN LISTS NXC_VARIANTS)
        nxi_variant_name(${name} ${variant} target)
        nxi_variant_name(nxi_core ${variant} core)
        add_library(${target} STATIC EXCLUDE_FROM_ALL ${ARGN})
        target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
        target_link_libraries(${target} PUBLIC ${core})
        if(nxi_cmocka_FOUND)
            target_link_libraries(${target} PUBLIC PkgConfig::nxi_cmocka)
        endif()
    endforeach()
endfunction()

# A fuzz target, as a test: with another main, what the original made is fed to it once.
function(nxi_replay_test path main)
    get_filename_component(name ${path} NAME)
    nxi_test_program(${name} SOURCES ${path}.c ${main})
    foreach(variant IN LISTS NXC_VARIANTS)
        nxi_variant_name(${name} ${variant} target)
        if(TARGET ${target})
            add_test(NAME ${target} COMMAND ${nxi_launch_${variant}} sh
                ${PROJECT_SOURCE_DIR}/tests/replay.sh $<TARGET_FILE:${target}>)
            nxi_test_defaults(${target} ${variant})
        endif()
    endforeach()
endfunction()

# A test that is a shell script. The rest of the arguments are its own.
function(nxi_script_test name script)
    add_test(NAME ${name} COMMAND sh ${PROJECT_SOURCE_DIR}/tests/${script} ${ARGN})
    nxi_test_defaults(${name} plain)
endfunction()

# A script that tests the command, in every variant: cli/foo_test.sh is cli_foo.
function(nxi_cli_test name)
    foreach(variant IN LISTS NXC_VARIANTS)
        nxi_variant_name(cli_${name} ${variant} test)
        nxi_variant_name(nxconnect_cli ${variant} target)
        add_test(NAME ${test} COMMAND ${nxi_launch_${variant}} sh
            ${PROJECT_SOURCE_DIR}/tests/cli/${name}_test.sh $<TARGET_FILE:${target}>)
        nxi_test_defaults(${test} ${variant})
    endforeach()
endfunction()
