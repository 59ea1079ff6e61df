/* What tests/wasi/runners.mjs runs to see that the runners pass everything on; not a unit test. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasm_simd128.h>

int main(int argc, char **argv) {
    const char *env = getenv("WF_PROBE");
    printf("argc %d last %s env %s\n", argc, argv[argc - 1], env != NULL ? env : "(none)");
    char line[64];
    if (fgets(line, sizeof line, stdin) != NULL) {
        printf("stdin %s", line);
    }
    FILE *file = fopen(argv[argc - 1], "r+");
    if (file == NULL) {
        fprintf(stderr, "cannot open\n");
        return 3;
    }
    if (fgets(line, sizeof line, file) != NULL) {
        printf("file %s", line);
    }
    fseek(file, 0, SEEK_END);
    fputs("more\n", file);
    fclose(file);
#ifdef __wasm_relaxed_simd__
    v128_t dot = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i8x16_splat(5), wasm_i8x16_splat(3), wasm_i32x4_splat(1));
    printf("dot %d\n", wasm_i32x4_extract_lane(dot, 3));
#else
    v128_t dot = wasm_i32x4_dot_i16x8(wasm_i16x8_splat(5), wasm_i16x8_splat(6));
    printf("dot %d\n", wasm_i32x4_extract_lane(dot, 3) + 1);
#endif
    return 7;
}
