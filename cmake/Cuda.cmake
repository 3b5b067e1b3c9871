# The parts of CUDA that the GPU backend is built with: nvcc and the headers of a toolkit (without one, what
# `tools/cuda-headers.sh --compiler` brings), and cublasLt.h, which a toolkit may lack: tools/cuda-headers.sh brings it.
# With it come the headers of cuDNN, of its C++ frontend and nvrtc.h; without them the backend is built without cuDNN. No
# library of CUDA is linked.
#
# MBC_CUDA       AUTO: where all parts are found; ON: they must be; OFF
# MBC_CUDA_ROOT  the toolkit
# Sets MBC_HAS_CUDA, MBC_NVCC and MBC_CUDA_INCLUDES; MBC_HAS_CUDNN and MBC_CUDNN_INCLUDES.
set(MBC_CUDA AUTO CACHE STRING "Build the GPU backend: AUTO, ON or OFF")
set(MBC_CUDA_ROOT /usr/local/cuda CACHE PATH "CUDA toolkit with nvcc and headers")
set(MBC_CUDA_HEADERS ${PROJECT_SOURCE_DIR}/build/cuda-headers CACHE PATH "Where tools/cuda-headers.sh put headers")

set(MBC_HAS_CUDA OFF)
set(MBC_HAS_CUDNN OFF)
if(MBC_CUDA)
  find_program(MBC_NVCC nvcc HINTS ${MBC_CUDA_ROOT}/bin ${MBC_CUDA_HEADERS}/nvidia/cu13/bin)
  # The headers that belong to it.
  cmake_path(GET MBC_NVCC PARENT_PATH bin)
  find_path(MBC_CUDA_H cuda.h HINTS ${bin}/../include ${MBC_CUDA_ROOT}/include)
  find_path(MBC_CUBLASLT_H cublasLt.h HINTS ${MBC_CUDA_HEADERS}/nvidia/cu13/include ${MBC_CUDA_ROOT}/include)
  set(missing)
  foreach(part MBC_NVCC MBC_CUDA_H MBC_CUBLASLT_H)
    if(NOT ${part})
      list(APPEND missing ${part})
    endif()
  endforeach()
  if(NOT missing)
    set(MBC_HAS_CUDA ON)
    set(MBC_CUDA_INCLUDES ${MBC_CUDA_H} ${MBC_CUBLASLT_H})
    find_path(MBC_CUDNN_H cudnn.h HINTS ${MBC_CUDA_HEADERS}/nvidia/cudnn/include ${MBC_CUDA_ROOT}/include)
    find_path(MBC_CUDNN_FRONTEND_H cudnn_frontend.h HINTS ${MBC_CUDA_HEADERS}/include ${MBC_CUDA_ROOT}/include)
    find_path(MBC_NVRTC_H nvrtc.h HINTS ${MBC_CUDA_HEADERS}/nvidia/cu13/include ${MBC_CUDA_ROOT}/include)
    set(without)
    foreach(part MBC_CUDNN_H MBC_CUDNN_FRONTEND_H MBC_NVRTC_H)
      if(NOT ${part})
        list(APPEND without ${part})
      endif()
    endforeach()
    if(NOT without)
      set(MBC_HAS_CUDNN ON)
      set(MBC_CUDNN_INCLUDES ${MBC_CUDNN_H} ${MBC_CUDNN_FRONTEND_H} ${MBC_NVRTC_H})
    else()
      message(STATUS "mbc without cuDNN: ${without} not found (tools/cuda-headers.sh)")
    endif()
  elseif(MBC_CUDA STREQUAL "AUTO")
    message(STATUS "mbc without GPUs: ${missing} not found (MBC_CUDA_ROOT, or tools/cuda-headers.sh --compiler)")
  else()
    message(FATAL_ERROR "MBC_CUDA=ON, and ${missing} not found: set MBC_CUDA_ROOT, or run tools/cuda-headers.sh --compiler")
  endif()
endif()

# Architectures that kernels are assembled for; on later ones the driver compiles the PTX of the first.
set(MBC_CUDA_ARCHITECTURES 80 89 90 100 120 CACHE STRING "Compute capabilities, as nvcc names them")

# mbc_add_fatbin(OUT name.cu): OUT is set to the file that is made of it.
function(mbc_add_fatbin out source)
  cmake_path(GET source STEM name)
  set(image ${CMAKE_CURRENT_BINARY_DIR}/${name}.fatbin)
  list(GET MBC_CUDA_ARCHITECTURES 0 first)
  set(targets -gencode=arch=compute_${first},code=compute_${first})
  foreach(arch ${MBC_CUDA_ARCHITECTURES})
    # With what only Hopper has (wgmma), which no later one runs.
    string(REGEX REPLACE "^90$" "90a" arch ${arch})
    list(APPEND targets -gencode=arch=compute_${arch},code=sm_${arch})
  endforeach()
  add_custom_command(OUTPUT ${image}
    COMMAND ${MBC_NVCC} -std=c++17 -O3 --fatbin --compress-mode=size ${targets} -I${PROJECT_SOURCE_DIR}
            -MD -MF ${image}.d -o ${image} ${CMAKE_CURRENT_SOURCE_DIR}/${source}
    DEPENDS ${source} DEPFILE ${image}.d VERBATIM COMMENT "Assembling ${source}")
  set(${out} ${image} PARENT_SCOPE)
endfunction()
