/* Fuzz target of the safetensors reader and of reading tensors out of it. */
#include "checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_checkpoint(data, size);
    return 0;
}
