# libwan: everything below the public API in one shared library, and the CMake package that exports it as wan::wan.
include(CMakePackageConfigHelpers)

# The public API's own objects must be in, although nothing in the library refers to them.
add_library(wan_library SHARED $<TARGET_OBJECTS:wan_bench> $<TARGET_OBJECTS:wan_engine> $<TARGET_OBJECTS:wan_hub>
  $<TARGET_OBJECTS:wan_conversion> $<TARGET_OBJECTS:wan_comm> $<TARGET_OBJECTS:wan_core>)
set_target_properties(wan_library PROPERTIES
  OUTPUT_NAME wan EXPORT_NAME wan VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE CXX)
target_link_libraries(wan_library PRIVATE wan_bench wan_conversion wan_hub wan_comm)
target_include_directories(wan_library INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(wan_library INTERFACE cxx_std_20)
add_library(wan::wan ALIAS wan_library)

install(TARGETS wan_library EXPORT wan-targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/wan DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT wan-targets NAMESPACE wan:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wan FILE wan-config.cmake)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/wan-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wan-config-version.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wan)
