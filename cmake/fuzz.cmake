# SPDX-License-Identifier: Apache-2.0
# The fuzz targets, by libFuzzer. The library's inside is the variant "fuzz".

set(nxi_flags_fuzz -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -UNDEBUG)

function(nxi_fuzz_target path)
    get_filename_component(name ${path} NAME)
    add_executable(${name} ${path}.c)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
    target_link_libraries(${name} PRIVATE nxi_core-fuzz)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
