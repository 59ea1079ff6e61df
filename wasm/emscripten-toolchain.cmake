# Cross-compilation with the emcc that emsdk_env.sh puts on PATH. Emscripten's own toolchain file would do as well; this
# one skips its feature tests, which cost half a minute on a cold machine and tell us nothing.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
find_program(WF_EMCC emcc REQUIRED)
find_program(WF_EMAR emar REQUIRED)
set(CMAKE_C_COMPILER ${WF_EMCC})
set(CMAKE_C_COMPILER_WORKS 1)
set(CMAKE_AR ${WF_EMAR})
set(CMAKE_RANLIB :)
set(CMAKE_EXECUTABLE_SUFFIX .wasm)
set(CMAKE_EXECUTABLE_SUFFIX_C .wasm)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
