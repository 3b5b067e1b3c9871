# mbc_link_mlir(target component...)
# Links what the target uses of MLIR: the shared libMLIR and libLLVM, or, with
# MBC_STATIC, the named static libraries and what these need. A program
# must have one copy of MLIR, never some of each.
function(mbc_link_mlir target)
  if(MBC_STATIC)
    target_link_libraries(${target} PUBLIC ${ARGN})
  else()
    target_link_libraries(${target} PUBLIC MLIR LLVM)
  endif()
endfunction()

# A build of LLVM that has shared libraries exports static ones that ask for
# the shared LLVM; here they ask for its parts. Those that nothing refers to
# stay out of the link.
function(mbc_use_static_llvm)
  get_property(libraries GLOBAL PROPERTY MLIR_ALL_LIBS)
  # What the ELF linker uses; the others ask for MLIR's parts themselves.
  set(lldELF_parts LLVMBinaryFormat LLVMBitWriter LLVMCore LLVMDebugInfoDWARF LLVMDemangle
    LLVMDTLTO LLVMLTO LLVMMC LLVMObject LLVMOption LLVMPasses LLVMSupport LLVMTargetParser)
  set(lldCommon_parts LLVMCodeGen LLVMCore LLVMDebugInfoDWARF LLVMDemangle LLVMMC LLVMOption
    LLVMSupport LLVMTarget LLVMTargetParser)
  foreach(library ${libraries} LLVMSupport LLVMExtensions lldELF lldCommon)
    if(NOT TARGET ${library})
      continue()
    endif()
    get_target_property(needed ${library} INTERFACE_LINK_LIBRARIES)
    if(NOT needed)
      continue()
    endif()
    if(DEFINED ${library}_parts)
      list(TRANSFORM needed REPLACE "^LLVM$" "${${library}_parts}")
    else()
      list(TRANSFORM needed REPLACE "^LLVM$" LLVMCore)
    endif()
    # Debian's LLVM can use Z3, which mbc never calls.
    list(FILTER needed EXCLUDE REGEX "libz3|Z3")
    # compiler/Codegen/StaticParts.cpp
    list(FILTER needed EXCLUDE REGEX "^Polly")
    if(TARGET zstd::libzstd_static)
      list(TRANSFORM needed REPLACE "^zstd::libzstd_shared$" zstd::libzstd_static)
    endif()
    set_target_properties(${library} PROPERTIES INTERFACE_LINK_LIBRARIES "${needed}")
  endforeach()
endfunction()
