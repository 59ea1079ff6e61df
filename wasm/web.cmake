# The modules that a page loads, into web/dist: the engine in four builds, and the tools (converter) in one.
#
#   simd     SIMD128                    every current browser
#   relaxed  + relaxed SIMD             fused multiply-add and integer dots of the CPU
#   …-mt     + atomics, shared memory   for cross-origin isolated pages; also runs on one thread
#   tools    SIMD128, + converter, picture decoders, double-precision twins
#
# All are standalone modules with imported memory: the loader plans first, then makes a memory of the right size.
# Exports are marked in wasm/*.c with __attribute__((export_name)); tests/gates/exports.txt lists them.
set(WF_DIST ${CMAKE_SOURCE_DIR}/web/dist)
# Kernels are written in vectors and say themselves what is to be unrolled (WF_UNROLL): what the compiler adds of both weighs 5 KB of a
# download (gzip) and makes nothing faster (measured op by op; README.md, "What it weighs").
set(flags -O2 -msimd128 -fno-vectorize -fno-slp-vectorize -fno-unroll-loops)
# The second round of wasm-opt takes 450 bytes off the download.
set(link -O3 -sBINARYEN_EXTRA_PASSES=-O3 -sSTANDALONE_WASM --no-entry -sDEFAULT_TO_CXX=0 -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=4GB -sFILESYSTEM=0
    -sMALLOC=emmalloc -sIMPORTED_MEMORY=1 -sINITIAL_MEMORY=1MB -sSTACK_SIZE=256KB)
set(threads -matomics -mbulk-memory)
set(link_threads -sSHARED_MEMORY=1 -Wl,--export=__stack_pointer,--export=__wasm_init_tls,--export=__tls_size)

# What computes over pictures and weights is compiled for speed. All else runs once a model or once a step, and a page waits
# longer for its download than for it: for size (README.md, "What it weighs"). For speed is -O2: -O3 unrolls more, which only the
# integer products gain by (2 % of an int8 DeiT-tiny), and is a fifth larger.
file(GLOB unrolled CONFIGURE_DEPENDS src/kernels/simd128/gemm_i8_*.c src/kernels/simd128/gemm_q8_0_*.c)
set_source_files_properties(${unrolled} PROPERTIES COMPILE_OPTIONS -O3)
set(once "(average|dot_probe|embed|position|prefix|rope_angles)\\.c") # kernels that move a few rows, or run once
set(small FAST "kernels/simd128/|media/resize\\.c|base/(pool|sha256)\\.c" SLOW "kernels/simd128/${once}" SMALL -Oz)

wf_variant(simd FLAGS ${flags} DEFINES WF_WITH_SCALAR=0 ${small})
wf_variant(relaxed FLAGS ${flags} -mrelaxed-simd DEFINES WF_RELAXED=1 WF_WITH_SCALAR=0 ${small})
wf_variant(simd-mt FLAGS ${flags} ${threads} DEFINES WF_THREADS=1 WF_WITH_SCALAR=0 ${small})
wf_variant(relaxed-mt FLAGS ${flags} -mrelaxed-simd ${threads} DEFINES WF_RELAXED=1 WF_THREADS=1 WF_WITH_SCALAR=0 ${small})
wf_variant(tools FLAGS ${flags} DEFINES WF_WITH_F64=1 EVERYTHING)

foreach(variant simd relaxed simd-mt relaxed-mt tools)
    set(main engine.c)
    if(variant STREQUAL "tools")
        set(main engine.c tools.c)
    endif()
    list(TRANSFORM main PREPEND wasm/)
    file(GLOB sources CONFIGURE_DEPENDS ${main}) # a folder without them yet builds nothing
    if(NOT sources)
        continue()
    endif()
    set(options ${link})
    if(variant MATCHES "relaxed")
        list(APPEND options -mrelaxed-simd)
    endif()
    if(variant MATCHES "-mt$")
        list(APPEND options ${threads} ${link_threads})
    endif()
    wf_program(wasmformer-${variant} ${variant} SOURCES ${sources} LINK -msimd128 ${options})
    set_target_properties(wasmformer-${variant} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${WF_DIST})
endforeach()

# The kernels alone, for tests/bench/kernels.mjs, which builds them: not part of `all`.
add_custom_target(kernel_bench)
foreach(variant simd relaxed)
    set(relaxed)
    if(variant STREQUAL "relaxed")
        set(relaxed -mrelaxed-simd)
    endif()
    wf_program(kernel-bench-${variant} ${variant}-mt SOURCES tests/bench/kernels/bench.c tests/bench/kernels/prototype.c
        tests/bench/kernels/prototype_i8.c
        LINK -msimd128 ${link} ${relaxed} ${threads} ${link_threads})
    set_target_properties(kernel-bench-${variant} PROPERTIES EXCLUDE_FROM_ALL TRUE
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
    add_dependencies(kernel_bench kernel-bench-${variant})
endforeach()
