# Writes OUTPUT: the .mbc files of SOURCE_DIR as raw string literals.
file(GLOB FILES RELATIVE ${SOURCE_DIR} ${SOURCE_DIR}/models/*.mbc ${SOURCE_DIR}/mappings/*.mbc)
set(TEXT "#include \"compiler/Bridge/BuiltinDeclarations.h\"\n\nstatic const mbc::BuiltinDeclaration files[] = {\n")
foreach(FILE ${FILES})
  file(READ ${SOURCE_DIR}/${FILE} CONTENT)
  string(APPEND TEXT "    {\"/mbc/${FILE}\", R\"__mbc__(${CONTENT})__mbc__\"},\n")
endforeach()
string(APPEND TEXT "};\n\nllvm::ArrayRef<mbc::BuiltinDeclaration> mbc::builtinDeclarations() { return files; }\n")
file(WRITE ${OUTPUT} "${TEXT}")
