# The CUDA toolkit (12.x or 13), and cuDNN 9 with the headers of cudnn-frontend. Without cuDNN the back end works, but
# attention and convolutions are slower.
set(WAN_HAVE_CUDA OFF)
set(WAN_HAVE_CUDNN OFF)
set(WAN_CUDNN_FRONTEND_DIR "" CACHE PATH "Folder with cudnn_frontend.h (tools/get_cudnn_frontend.sh makes one)")
if(WAN_CUDA STREQUAL "OFF")
  return()
endif()

find_package(CUDAToolkit QUIET)
if(NOT CUDAToolkit_FOUND OR NOT TARGET CUDA::cublasLt)
  if(WAN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "The CUDA toolkit (nvcc and cuBLAS) was not found. Install it (12.x or 13) and put nvcc on PATH")
  endif()
  return()
endif()
set(WAN_HAVE_CUDA ON)

# Ampere, Ada and Hopper as machine code; anything newer compiles the last one's PTX at its first start.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90a-real 90-virtual)
endif()
if(NOT DEFINED CMAKE_CUDA_COMPILER AND CUDAToolkit_NVCC_EXECUTABLE)
  set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)

find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR})
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h
  HINTS ${WAN_CUDNN_FRONTEND_DIR} ${PROJECT_SOURCE_DIR}/build/cudnn-frontend PATH_SUFFIXES include)
if(CUDNN_LIBRARY AND CUDNN_INCLUDE_DIR AND CUDNN_FRONTEND_INCLUDE_DIR)
  set(WAN_HAVE_CUDNN ON)
  add_library(wan_cudnn INTERFACE)
  target_include_directories(wan_cudnn SYSTEM INTERFACE ${CUDNN_INCLUDE_DIR} ${CUDNN_FRONTEND_INCLUDE_DIR})
  target_link_libraries(wan_cudnn INTERFACE ${CUDNN_LIBRARY} CUDA::nvrtc)  # the headers refer to NVRTC
else()
  message(WARNING "cuDNN 9 or the headers of cudnn-frontend were not found: attention and convolutions will be slow. "
    "Install cuDNN, and run tools/get_cudnn_frontend.sh (or set WAN_CUDNN_FRONTEND_DIR)")
endif()
