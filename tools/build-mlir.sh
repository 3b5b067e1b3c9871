#!/usr/bin/env bash
# Builds the parts of LLVM and MLIR 22 that mbc uses, as static libraries, where the distribution has no packages of them.
#
#   tools/build-mlir.sh SOURCE PREFIX [CMAKE_ARGUMENT...]
#
# SOURCE: the unpacked llvm-project-22.1.x.src.tar.xz of github.com/llvm/llvm-project/releases; PREFIX: where to install.
# Needs CMake 3.20, Ninja, Python 3 and a C++17 compiler, and several GB of disk. Then mbc itself:
#   cmake -G Ninja -B build/own -DMBC_STATIC=ON -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=PREFIX
set -euo pipefail
case "${1-}" in -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
(($# >= 2)) || { echo "error: expects a source folder and a folder to install to (try --help)" >&2; exit 2; }
source=$(realpath "$1") prefix=$(realpath --canonicalize-missing "$2")
shift 2
if [[ ! -f $source/llvm/CMakeLists.txt || ! -f $source/mlir/CMakeLists.txt ]]; then
  echo "error: '$source' is not the source of LLVM: it has no llvm/CMakeLists.txt and mlir/CMakeLists.txt" >&2
  exit 2
fi
major=$(sed -n 's/^ *set(LLVM_VERSION_MAJOR \([0-9]*\)).*/\1/p' "$source/llvm/CMakeLists.txt" "$source/cmake/Modules/LLVMVersion.cmake" 2> /dev/null | head -n 1) || true
[[ $major == 22 ]] || { echo "error: '$source' is LLVM ${major:-of an unknown version}; mbc needs 22" >&2; exit 2; }

components=(
  cmake-exports llvm-headers mlir-cmake-exports mlir-headers mlir-tblgen
  # what mbc, mbc-opt and mbc-translate use, and what that asks for
  LLVM{AggressiveInstCombine,Analysis,AsmParser,AsmPrinter,BinaryFormat,BitReader,BitWriter,BitstreamReader,CFGuard,CGData,CodeGen,CodeGenTypes}
  LLVM{Core,Coroutines,DTLTO,DebugInfoBTF,DebugInfoCodeView,DebugInfoDWARF,DebugInfoDWARFLowLevel,DebugInfoGSYM,DebugInfoMSF,DebugInfoPDB,Demangle}
  LLVM{Extensions,FrontendAtomic,FrontendDirective,FrontendHLSL,FrontendOffloading,FrontendOpenMP,GlobalISel,HipStdPar,IRPrinter,IRReader,InstCombine}
  LLVM{Instrumentation,LTO,Linker,MC,MCDisassembler,MCParser,NVPTXCodeGen,NVPTXDesc,NVPTXInfo,ObjCARCOpts,Object,ObjectYAML,Option,Passes,Plugins,ProfileData,Remarks,SandboxIR}
  LLVM{ScalarOpts,SelectionDAG,Support,Symbolize,Target,TargetParser,TextAPI,TransformUtils,Vectorize,X86CodeGen,X86Desc,X86Info,ipo}
  MLIR{AMXDialect,AMXTransforms,AffineAnalysis,AffineDialect,AffineTransforms,AffineUtils,Analysis,ArithAttrToLLVMConversion,ArithDialect}
  MLIR{ArithToLLVM,ArithTransforms,ArithUtils,ArmNeonDialect,ArmNeonTransforms,ArmSVEDialect,ArmSVETransforms,AsmParser,BufferizationDialect}
  MLIR{BufferizationTransforms,BuiltinToLLVMIRTranslation,BytecodeOpInterface,BytecodeReader,BytecodeWriter,CallInterfaces,CastInterfaces}
  MLIR{ComplexDialect,ControlFlowDialect,ControlFlowInterfaces,ControlFlowToLLVM,DLTIDialect,DataLayoutInterfaces,Debug,DestinationStyleOpInterface}
  MLIR{Dialect,DialectUtils,FuncDialect,FuncToLLVM,FuncTransforms,FunctionInterfaces,GPUDialect,GPUUtils,IR,IRDL,IndexingMapOpInterface}
  MLIR{InferIntRangeCommon,InferIntRangeInterface,InferStridedMetadataInterface,InferTypeOpInterface,LLVMCommonConversion,LLVMDialect,LLVMIRTransforms}
  MLIR{LLVMToLLVMIRTranslation,LinalgDialect,LoopLikeInterface,MaskableOpInterface,MaskingOpInterface,MathDialect,MathToLLVM,MemOpInterfaces}
  MLIR{MemRefDialect,MemRefTransforms,MemRefUtils,MemorySlotInterfaces,NVGPUDialect,NVVMDialect,Observers,OpenACCMPCommon,OpenMPDialect,OptLib}
  MLIR{PDLDialect,PDLInterpDialect,PDLToPDLInterp,ParallelCombiningOpInterface,Parser,Pass,PluginsLib,Presburger,PtrMemorySpaceInterfaces}
  MLIR{ReconcileUnrealizedCasts,RemarkStreamer,Rewrite,RewritePDL,RuntimeVerifiableOpInterface,SCFDialect,SCFToControlFlow,SCFTransforms,SCFUtils}
  MLIR{ShapedOpInterfaces,ShardDialect,ShardingInterface,SideEffectInterfaces,SparseTensorDialect,SubsetOpInterface,Support,TargetLLVMIRExport}
  MLIR{TensorDialect,TensorTransforms,TensorUtils,TilingInterface,TransformUtils,Transforms,TranslateLib,UBDialect,ValueBoundsOpInterface}
  MLIR{VectorDialect,VectorInterfaces,VectorToLLVM,VectorToLLVMPass,VectorTransforms,VectorUtils,ViewLikeInterface,X86VectorDialect}
  MLIR{X86VectorTransforms,X86VectorUtils}
  lld-cmake-exports lld{Common,ELF}
)
build=$prefix/build
# RTTI because mbc uses it; of the libraries that LLVM could use, none.
cmake -G Ninja -S "$source/llvm" -B "$build" \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" \
  '-DLLVM_ENABLE_PROJECTS=mlir;lld' '-DLLVM_TARGETS_TO_BUILD=X86;NVPTX' -DLLVM_ENABLE_RTTI=ON \
  -DLLVM_ENABLE_ZLIB=OFF -DLLVM_ENABLE_ZSTD=OFF -DLLVM_ENABLE_LIBXML2=OFF -DLLVM_ENABLE_LIBEDIT=OFF -DLLVM_ENABLE_Z3_SOLVER=OFF \
  -DLLVM_INCLUDE_TESTS=OFF -DLLVM_INCLUDE_BENCHMARKS=OFF -DLLVM_INCLUDE_EXAMPLES=OFF \
  -DLLVM_DISTRIBUTION_COMPONENTS="$(IFS=';' && echo "${components[*]}")" "$@"
cmake --build "$build" --target install-distribution
# The headers of lld are of no component.
cp -r "$source/lld/include/lld" "$prefix/include/"
rm -rf "$build"
echo "build-mlir: $prefix is ready"
