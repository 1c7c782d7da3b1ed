# SPDX-License-Identifier: Apache-2.0
# What is installed. The pkg-config file and the CMake package find their tree
# from their own place in it, so it may be moved (or installed with --prefix).
include(CMakePackageConfigHelpers)

set(nxi_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nxconnect)

install(TARGETS nxconnect EXPORT nxconnect-shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS nxconnect_static EXPORT nxconnect-static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(NXC_UCX)
    install(TARGETS nxconnect_ucx LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(TARGETS nxconnect_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES include/nxconnect/nxconnect.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nxconnect)
install(FILES man/nxconnect.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES man/nxconnect.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)

file(RELATIVE_PATH NXI_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" NXI_PC_TO_PREFIX ${NXI_PC_TO_PREFIX})
configure_file(nxconnect.pc.in nxconnect.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nxconnect.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The static library is an export of its own: who links the shared one needs
# none of the packages that the library is made of.
set_target_properties(nxconnect_static PROPERTIES EXPORT_NAME static)
install(EXPORT nxconnect-shared NAMESPACE nxconnect:: DESTINATION ${nxi_package_dir})
install(EXPORT nxconnect-static NAMESPACE nxconnect:: DESTINATION ${nxi_package_dir})
configure_package_config_file(cmake/nxconnect-config.cmake.in nxconnect-config.cmake
    INSTALL_DESTINATION ${nxi_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(nxconnect-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nxconnect-config.cmake ${PROJECT_BINARY_DIR}/nxconnect-config-version.cmake
    DESTINATION ${nxi_package_dir})
