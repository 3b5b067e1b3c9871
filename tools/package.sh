#!/usr/bin/env bash
# Builds the preset "package" and makes a relocatable tarball of what it installs: mbc-VERSION-linux-ARCH.tar.gz.
# Programs in it need glibc 2.36 or newer and nothing else; this script fails where they would need more.
# The GPU backend is in it. The same commit gives the same bytes. Needs what tools/install-deps.sh installs, on Debian 12 for its glibc.
#
#   tools/package.sh [-o DIR]      default DIR: build. Uncommitted changes are packaged, and VERSION says +dirty.
#
# SOURCE_DATE_EPOCH is the time of every file in the tarball; default: that of the commit.
set -euo pipefail

glibc=2.36              # the oldest that the programs run with: that of Debian 12
glibcxx=3.4.30          # likewise of libstdc++, for shared libraries alone
limit=$((60 * 1000000)) # bytes of a tarball

output=
while (($# > 0)); do
  case $1 in
    -o)
      (($# > 1)) || { echo "error: -o expects a folder" >&2; exit 2; }
      output=$(realpath --canonicalize-missing "$2")
      shift 2
      ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "error: unknown argument '$1' (try --help)" >&2; exit 2 ;;
  esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${output:-$PWD/build}
build=build/package
git=(git -c safe.directory='*')

if [[ -z ${SOURCE_DATE_EPOCH-} ]]; then
  SOURCE_DATE_EPOCH=$("${git[@]}" log -1 --format=%ct 2> /dev/null) || {
    echo "error: this is no git checkout: set SOURCE_DATE_EPOCH to the time of the release, in seconds since 1970" >&2
    exit 2
  }
fi
export SOURCE_DATE_EPOCH

tools/cuda-headers.sh
start=$SECONDS
tools/build.sh package
echo "package: built in $((SECONDS - start)) s"

version=$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build/CMakeCache.txt")
[[ -z $("${git[@]}" status --porcelain 2> /dev/null) ]] || version+=+dirty
name=mbc-$version-linux-$(uname -m)
stage=$(mktemp --directory)
trap 'rm -rf "$stage"' EXIT
cmake --install "$build" --prefix "$stage/$name" --strip > /dev/null

# check_needs FILE ALLOWED: of shared libraries FILE needs only those that match ALLOWED, of a version that the
# oldest system has; nothing in it tells where it was built.
check_needs() {
  local file=$1 allowed=$2 dynamic other symbols needed entry library newest
  local -A most=([GLIBC]=$glibc [GLIBCXX]=$glibcxx)
  dynamic=$(objdump --private-headers "$file")
  other=$(awk '$1 == "NEEDED" { print $2 }' <<< "$dynamic" | grep -vxE "$allowed" | paste -sd ' ') || true
  [[ -z $other ]] || { echo "error: ${file#"$stage/"} needs $other: link these statically" >&2; return 1; }
  entry=$(awk '$1 ~ /^(RPATH|RUNPATH)$/ && $2 !~ /^\$ORIGIN(\/[^:]*)?$/' <<< "$dynamic")
  [[ -z $entry ]] || { echo "error: ${file#"$stage/"} looks for libraries in folders of the build: $entry" >&2; return 1; }
  symbols=$(objdump --dynamic-syms "$file")
  for library in "${!most[@]}"; do
    needed=$(grep -oE "\(?\<${library}_[0-9.]+" <<< "$symbols" | grep -oE '[0-9.]+$' | sort -uV | tail -n 1) || true
    newest=$(printf '%s\n' "$needed" "${most[$library]}" | sort -V | tail -n 1)
    if [[ $newest != "${most[$library]}" ]]; then
      entry=$(grep -F "${library}_$needed" <<< "$symbols" | awk '{ print $NF }' | sort -u | head -n 5 | paste -sd ' ')
      echo "error: ${file#"$stage/"} needs ${library}_$needed (for $entry); the oldest system has ${most[$library]}: build on Debian 12" >&2
      return 1
    fi
    [[ $library != GLIBC ]] || found=${needed:-none}
  done
  if grep -qaF "$PWD" "$file"; then
    echo "error: ${file#"$stage/"} holds the path '$PWD'" >&2
    return 1
  fi
}

programs=0
printf '\n%-44s %11s %11s  %s\n' file bytes gzipped 'glibc needed'
while IFS= read -r -d '' file; do
  [[ $(head -c 4 "$file") == $'\x7fELF' ]] || continue
  system='lib(c|m|dl|pthread|rt)\.so\.[0-9]+|ld-linux-.*'
  if [[ $file == *.so* ]]; then # those beside it, and the C++ library of the program that loads it
    system+="|libstdc\+\+\.so\.6|libgcc_s\.so\.1|$(find "$(dirname "$file")" -maxdepth 1 -name '*.so*' -printf '%f|')"
  fi
  found=
  check_needs "$file" "$system"
  printf '%-44s %11d %11d  %s\n' "${file#"$stage/$name/"}" "$(stat --format=%s "$file")" "$(gzip -9nc "$file" | wc -c)" "$found"
  programs=$((programs + 1))
done < <(find "$stage/$name" -type f -print0 | sort -z)
((programs > 0)) || { echo "error: cmake --install gave no program" >&2; exit 3; }

mkdir -p "$output"
tarball=$output/$name.tar.gz
tar --create --directory "$stage" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
  --mtime="@$SOURCE_DATE_EPOCH" --mode='u=rwX,go=rX' "$name" | gzip -9n > "$stage/tarball"
size=$(stat --format=%s "$stage/tarball")
if ((size > limit)); then
  echo "error: the tarball has $size bytes, more than $limit" >&2
  exit 3
fi
mv "$stage/tarball" "$tarball"
chmod 644 "$tarball"
printf '\npackage: %s\npackage: %d bytes, %d installed, sha256 %s\n' "$tarball" "$size" \
  "$(du --apparent-size --bytes --summarize "$stage/$name" | cut -f1)" "$(sha256sum "$tarball" | cut -d ' ' -f1)"
