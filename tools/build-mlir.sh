#!/usr/bin/env bash
# Builds the parts of LLVM and MLIR 22 that mbc uses, as static libraries, where the distribution has no packages of them.
#
#   tools/build-mlir.sh SOURCE PREFIX [CMAKE_ARGUMENT...]
#
# SOURCE: the unpacked llvm-project-22.1.x.src.tar.xz of github.com/llvm/llvm-project/releases; PREFIX: where to install.
# Needs CMake 3.20, Ninja, Python 3 and a C++17 compiler, and 2 GB of disk; 513 C++ files are compiled. Then mbc itself:
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
  LLVM{BinaryFormat,BitstreamReader,Core,Demangle,Remarks,Support,TargetParser}
  # mbc, mbc-opt and mbc-translate, and what these ask for
  MLIR{IR,Pass,Parser,Presburger,OptLib,TranslateLib,SideEffectInterfaces,BytecodeOpInterface}
  MLIR{Analysis,AsmParser,BytecodeReader,BytecodeWriter,CallInterfaces,ControlFlowInterfaces,DataLayoutInterfaces,Debug}
  MLIR{Dialect,FunctionInterfaces,IRDL,InferIntRangeInterface,InferStridedMetadataInterface,InferTypeOpInterface}
  MLIR{LoopLikeInterface,Observers,PluginsLib,RemarkStreamer,Support,ViewLikeInterface}
)
build=$prefix/build
# RTTI because mbc uses it; of the libraries that LLVM could use, none.
cmake -G Ninja -S "$source/llvm" -B "$build" \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" \
  -DLLVM_ENABLE_PROJECTS=mlir -DLLVM_TARGETS_TO_BUILD=Native -DLLVM_ENABLE_RTTI=ON \
  -DLLVM_ENABLE_ZLIB=OFF -DLLVM_ENABLE_ZSTD=OFF -DLLVM_ENABLE_LIBXML2=OFF -DLLVM_ENABLE_LIBEDIT=OFF -DLLVM_ENABLE_Z3_SOLVER=OFF \
  -DLLVM_INCLUDE_TESTS=OFF -DLLVM_INCLUDE_BENCHMARKS=OFF -DLLVM_INCLUDE_EXAMPLES=OFF \
  -DLLVM_DISTRIBUTION_COMPONENTS="$(IFS=';' && echo "${components[*]}")" "$@"
cmake --build "$build" --target install-distribution
rm -rf "$build"
echo "build-mlir: $prefix is ready"
