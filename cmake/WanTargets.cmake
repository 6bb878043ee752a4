# One static library per folder of src/, and one test program beside it.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

add_library(wan_options INTERFACE)
target_compile_options(wan_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wno-missing-field-initializers>
  $<$<AND:$<BOOL:${WAN_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers>)
if(WAN_SANITIZE)
  target_compile_options(wan_options INTERFACE -fsanitize=${WAN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(wan_options INTERFACE -fsanitize=${WAN_SANITIZE})
endif()

# wan_library(NAME DEPS lib... [EXCLUDE regex...]): every *.cpp of this folder except tests and the
# alternatives named by EXCLUDE (the other half of a with/without pair such as nccl.cpp, no_nccl.cpp).
function(wan_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  foreach(pattern IN LISTS ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "/${pattern}$")
  endforeach()
  add_library(wan_${name} STATIC ${sources})
  target_include_directories(wan_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(wan_${name} PUBLIC ${ARG_DEPS} PRIVATE wan_options)
endfunction()

add_custom_target(wan_gpu_tests)

# wan_test(NAME DEPS lib... [LABELS label...]): all *_test.cpp of this folder as one GoogleTest program, and all
# *_gpu_test.cpp as another one with the label gpu.
function(wan_test name)
  if(NOT WAN_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "DEPS;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  set(gpu_sources ${sources})
  list(FILTER sources EXCLUDE REGEX "_gpu_test\\.cpp$")
  list(FILTER gpu_sources INCLUDE REGEX "_gpu_test\\.cpp$")
  if(sources)
    wan_test_program(wan_${name}_test "${sources}" "${ARG_DEPS}" "${ARG_LABELS}")
  endif()
  if(gpu_sources AND WAN_HAVE_CUDA)
    wan_test_program(wan_${name}_gpu_test "${gpu_sources}" "${ARG_DEPS}" "gpu")
    add_dependencies(wan_gpu_tests wan_${name}_gpu_test)
  endif()
endfunction()

# What a test program spends its compile time on: GoogleTest, and the standard library.
set(wan_test_headers <gmock/gmock.h> <gtest/gtest.h> <algorithm> <array> <chrono> <cmath> <cstdint> <cstring> <filesystem>
  <fstream> <functional> <map> <memory> <optional> <random> <span> <sstream> <string> <string_view> <thread> <vector>)

function(wan_test_program target sources deps labels)
  add_executable(${target} ${sources})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${deps} wan_options GTest::gtest_main GTest::gmock)
  target_compile_definitions(${target} PRIVATE WAN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${WAN_TEST_FLAGS}>)
  target_precompile_headers(${target} PRIVATE ${wan_test_headers})
  include(GoogleTest)
  # Threads that wait by spinning starve each other when tests run side by side.
  set(properties TIMEOUT 300 ENVIRONMENT OMP_WAIT_POLICY=passive)
  if(labels)
    list(APPEND properties LABELS ${labels})
  endif()
  gtest_discover_tests(${target} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()
