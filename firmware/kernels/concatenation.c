#include <string.h>

#include "kernels.h"

void kernel_concatenation(const KernelConcatenation* concatenation, const int8_t* const* inputs, int8_t* output) {
  for (uint32_t outer = 0; outer < concatenation->outer; ++outer) {
    for (uint32_t i = 0; i < concatenation->inputs; ++i) {
      const size_t bytes = concatenation->bytes[i];
      memcpy(output, inputs[i] + outer * bytes, bytes);
      output += bytes;
    }
  }
}
